package dev.remask.support;

/// The way to JDK Flight Recorder. Each event has a `begin…`, which is null (or an `is…On`, which
/// is false) unless a recording has it on, and an `end…` for what began.
///
/// Off, each costs a read of a static field: before the process's first recording no class of the
/// events is loaded, after it a flag of the event's type is read besides. Where the module
/// `jdk.jfr` is missing nothing is ever on. Any thread.
public final class Flight {
  /// How a kernel reached the device: enqueued on a stream by itself.
  public static final String BY_STREAM = "stream";

  /// A node of a graph that was launched.
  public static final String BY_GRAPH = "graph";

  /// A node in the body of a WHILE node, which the device repeats.
  public static final String BY_WHILE = "while";

  private static final boolean PRESENT = ModuleLayer.boot().findModule("jdk.jfr").isPresent();

  private Flight() {}

  private static boolean isRecording() {
    return PRESENT && FlightEvents.Recorder.isThere();
  }

  /// Null unless loads are recorded; for [#endLoad].
  public static Pending beginLoad() {
    return isRecording() ? FlightEvents.beginLoad() : null;
  }

  /// Times are in nanoseconds.
  public static void endLoad(
      Pending load,
      String folder,
      String device,
      String dtype,
      long deviceBytes,
      long tokenizer,
      long opening,
      long weights) {
    FlightEvents.endLoad(load, folder, device, dtype, deviceBytes, tokenizer, opening, weights);
  }

  /// Null unless requests are recorded; for [#endRequest], on any thread.
  public static Pending beginRequest() {
    return isRecording() ? FlightEvents.beginRequest() : null;
  }

  /// `waited` is in nanoseconds; `failureOrNull` what is thrown to those who wait.
  public static void endRequest(
      Pending request,
      int tokens,
      int masks,
      int blockLength,
      int passes,
      long waited,
      String outcome,
      Throwable failureOrNull) {
    FlightEvents.endRequest(
        request, tokens, masks, blockLength, passes, waited, outcome, failureOrNull);
  }

  /// Null unless scores are recorded; for [#endScore].
  public static Pending beginScore() {
    return isRecording() ? FlightEvents.beginScore() : null;
  }

  /// What the call computed.
  public static void endScore(Pending score, int tasks, int answers, int passes) {
    FlightEvents.endScore(score, tasks, answers, passes);
  }

  /// Null unless runs are recorded; for [#endRun].
  public static Pending beginRun() {
    return isRecording() ? FlightEvents.beginRun() : null;
  }

  /// `streamSteps`, `graphSteps` and `whileSteps` add up to the steps of the run.
  public static void endRun(
      Pending run,
      int members,
      int tokens,
      int rows,
      int streamSteps,
      int graphSteps,
      int whileSteps) {
    FlightEvents.endRun(run, members, tokens, rows, streamSteps, graphSteps, whileSteps);
  }

  /// Null unless steps are recorded; for [#endStep].
  public static Pending beginStep() {
    return isRecording() ? FlightEvents.beginStep() : null;
  }

  /// `by` is [#BY_STREAM] or [#BY_GRAPH].
  public static void endStep(Pending step, String by, int members) {
    FlightEvents.endStep(step, by, members);
  }

  /// Null unless graph launches are recorded; for [#endGraphLaunch].
  public static Pending beginGraphLaunch() {
    return isRecording() ? FlightEvents.beginGraphLaunch() : null;
  }

  /// What was launched.
  public static void endGraphLaunch(Pending launch, int nodes, int kernels, int bodyKernels) {
    FlightEvents.endGraphLaunch(launch, nodes, kernels, bodyKernels);
  }

  /// Whether kernel launches are recorded.
  public static boolean isKernelOn() {
    return isRecording() && FlightEvents.isKernelOn();
  }

  /// Null unless kernel launches are recorded; for [#endKernel].
  public static Pending beginKernel() {
    return isRecording() ? FlightEvents.beginKernel() : null;
  }

  /// A launch that was enqueued by itself.
  public static void endKernel(
      Pending launch, String kernel, int x, int y, int z, int block, int sharedBytes) {
    FlightEvents.endKernel(launch, kernel, x, y, z, block, sharedBytes);
  }

  /// So many launches that a graph brought about: an event without a duration.
  public static void kernel(
      String kernel, int x, int y, int z, int block, int sharedBytes, String by, long launches) {
    FlightEvents.kernel(kernel, x, y, z, block, sharedBytes, by, launches);
  }
}
