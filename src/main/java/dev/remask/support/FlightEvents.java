package dev.remask.support;

import jdk.jfr.Event;
import jdk.jfr.EventType;
import jdk.jfr.FlightRecorder;

/// What [Flight] does where there is a `jdk.jfr`: the only class that makes its events.
final class FlightEvents {
  private static final EventType LOAD = EventType.getEventType(LoadEvent.class);
  private static final EventType REQUEST = EventType.getEventType(RequestEvent.class);
  private static final EventType SCORE = EventType.getEventType(ScoreEvent.class);
  private static final EventType RUN = EventType.getEventType(RunEvent.class);
  private static final EventType STEP = EventType.getEventType(StepEvent.class);
  private static final EventType GRAPH = EventType.getEventType(GraphLaunchEvent.class);
  private static final EventType KERNEL = EventType.getEventType(KernelLaunchEvent.class);

  private FlightEvents() {}

  /// A class of its own: this question must not register the events.
  static final class Recorder {
    private Recorder() {}

    static boolean isThere() {
      return FlightRecorder.isInitialized();
    }
  }

  private static Pending begun(Event event) {
    event.begin();
    return new Pending(event);
  }

  static Pending beginLoad() {
    return LOAD.isEnabled() ? begun(new LoadEvent()) : null;
  }

  static void endLoad(
      Pending load,
      String folder,
      String device,
      String dtype,
      long deviceBytes,
      long tokenizer,
      long opening,
      long weights) {
    var event = (LoadEvent) load.event;
    event.folder = folder;
    event.device = device;
    event.dtype = dtype;
    event.deviceBytes = deviceBytes;
    event.tokenizer = tokenizer;
    event.opening = opening;
    event.weights = weights;
    event.commit();
  }

  static Pending beginRequest() {
    return REQUEST.isEnabled() ? begun(new RequestEvent()) : null;
  }

  static void endRequest(
      Pending request,
      int tokens,
      int masks,
      int blockLength,
      int passes,
      long waited,
      String outcome,
      Throwable failureOrNull) {
    var event = (RequestEvent) request.event;
    event.tokens = tokens;
    event.masks = masks;
    event.blockLength = blockLength;
    event.passes = passes;
    event.waited = waited;
    event.outcome = outcome;
    event.failure = failureOrNull == null ? null : failureOrNull.toString();
    event.commit();
  }

  static Pending beginScore() {
    return SCORE.isEnabled() ? begun(new ScoreEvent()) : null;
  }

  static void endScore(Pending score, int tasks, int answers, int passes) {
    var event = (ScoreEvent) score.event;
    event.tasks = tasks;
    event.answers = answers;
    event.passes = passes;
    event.commit();
  }

  static Pending beginRun() {
    return RUN.isEnabled() ? begun(new RunEvent()) : null;
  }

  static void endRun(
      Pending run,
      int members,
      int tokens,
      int rows,
      int streamSteps,
      int graphSteps,
      int whileSteps) {
    var event = (RunEvent) run.event;
    event.steps = streamSteps + graphSteps + whileSteps;
    event.members = members;
    event.tokens = tokens;
    event.rows = rows;
    event.streamSteps = streamSteps;
    event.graphSteps = graphSteps;
    event.whileSteps = whileSteps;
    event.commit();
  }

  static Pending beginStep() {
    return STEP.isEnabled() ? begun(new StepEvent()) : null;
  }

  static void endStep(Pending step, String by, int members) {
    var event = (StepEvent) step.event;
    event.by = by;
    event.members = members;
    event.commit();
  }

  static Pending beginGraphLaunch() {
    return GRAPH.isEnabled() ? begun(new GraphLaunchEvent()) : null;
  }

  static void endGraphLaunch(Pending launch, int nodes, int kernels, int bodyKernels) {
    var event = (GraphLaunchEvent) launch.event;
    event.nodes = nodes;
    event.kernels = kernels;
    event.bodyKernels = bodyKernels;
    event.commit();
  }

  static boolean isKernelOn() {
    return KERNEL.isEnabled();
  }

  static Pending beginKernel() {
    return KERNEL.isEnabled() ? begun(new KernelLaunchEvent()) : null;
  }

  static void endKernel(
      Pending launch, String kernel, int x, int y, int z, int block, int sharedBytes) {
    commit(
        (KernelLaunchEvent) launch.event, kernel, x, y, z, block, sharedBytes, Flight.BY_STREAM, 1);
  }

  static void kernel(
      String kernel, int x, int y, int z, int block, int sharedBytes, String by, long launches) {
    commit(new KernelLaunchEvent(), kernel, x, y, z, block, sharedBytes, by, launches);
  }

  private static void commit(
      KernelLaunchEvent event,
      String kernel,
      int x,
      int y,
      int z,
      int block,
      int sharedBytes,
      String by,
      long launches) {
    event.kernel = kernel;
    event.gridX = x;
    event.gridY = y;
    event.gridZ = z;
    event.block = block;
    event.sharedBytes = sharedBytes;
    event.by = by;
    event.launches = launches;
    event.commit();
  }
}
