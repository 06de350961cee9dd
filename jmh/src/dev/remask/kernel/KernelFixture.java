package dev.remask.kernel;

import dev.remask.bundle.Bench;
import dev.remask.cuda.CallerContext;
import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.MatmulType;
import dev.remask.measure.Floor;
import dev.remask.measure.Processor;
import dev.remask.measure.Work;
import java.util.function.IntFunction;

/// What the benchmarks of kernels share: a context on the benchmark's own thread, memory, and the
/// loop that launches.
///
/// An operation of a benchmark is a launch. Launches are queued, as a model queues them, and waited
/// for so often that about a millisecond's are under way: the time of an operation is then that of
/// the kernel, not of waking threads.
final class KernelFixture implements AutoCloseable {
  /// About as long is queued.
  private static final double QUEUED_NANOS = 2e6;

  private static final int MOST_QUEUED = 64;
  private static final int TRIES = 3;

  /// Weights lie in as many copies as fill so much, so that each launch finds its own in memory and
  /// not in a cache, as the layers of a model do. Machines with larger caches exist.
  private static final long COLD_BYTES = 1L << 30;

  /// Bytes of a card's copy, and the edge of its product.
  private static final long CARD_COPY = 1L << 30;

  private static final int CARD_SQUARE = 8192;

  private final CallerContext caller;
  private final boolean software;
  private Runnable launch;
  private Runnable waiting;
  private Floor floor;
  private int depth = 1;
  private int queued;

  final Context context;
  final DType dtype;
  Bench bench;
  Operations operations;

  private KernelFixture(CallerContext caller, DType dtype) {
    this.caller = caller;
    this.dtype = dtype;
    context = caller.context();
    software = context.device().isSoftware();
  }

  /// Opens `device` for kernels of `dtype` and has `prepare` make the launch to be measured.
  static KernelFixture open(
      String device, DType dtype, java.util.function.Consumer<KernelFixture> prepare) {
    var fixture = new KernelFixture(CallerContext.open(device), dtype);
    try {
      fixture.context.run(() -> {
        fixture.bench = new Bench(fixture.context);
        fixture.operations = fixture.bench.operations(dtype);
        fixture.waiting = fixture.bench.stream::synchronize;
        prepare.accept(fixture);
      });
      fixture.calibrate();
      return fixture;
    } catch (Throwable failure) {
      fixture.close();
      throw failure;
    }
  }

  /// The launch, the bytes that it must move at least, its floating point operations, and the bytes
  /// that it and its like go round in. Called by `prepare`.
  void measure(Runnable work, double bytes, double flops, double workingSet) {
    launch = work;
    double bandwidth = software ? Processor.copyBandwidth((long) workingSet) : cardBandwidth();
    double peak = flops == 0 ? 1 : software ? Processor.fmaPeak() : cardPeak();
    floor = Floor.of(bytes, flops, bandwidth, peak);
  }

  /// As many arrays as make launches that take turns with them find theirs in memory.
  <T> java.util.List<T> cold(long bytesEach, IntFunction<T> make) {
    int copies = (int) Math.max(1, Math.ceilDiv(COLD_BYTES, bytesEach));
    return java.util.stream.IntStream.range(0, copies).mapToObj(make).toList();
  }

  private void calibrate() {
    long best = Long.MAX_VALUE;
    for (int i = 0; i < TRIES; i++) {
      long begin = System.nanoTime();
      context.run(launch);
      context.run(waiting);
      best = Math.min(best, System.nanoTime() - begin);
    }
    depth = (int) Math.max(1, Math.min(MOST_QUEUED, QUEUED_NANOS / best));
  }

  /// One operation.
  void launch(Work work) {
    context.run(launch);
    if (++queued >= depth) {
      drain();
    }
    work.count(floor);
  }

  /// Waits for what is queued; at the end of each iteration.
  void drain() {
    context.run(waiting);
    queued = 0;
  }

  private double cardBandwidth() {
    DeviceBuffer from = bench.empty(CARD_COPY);
    DeviceBuffer to = bench.empty(CARD_COPY);
    return 2.0 * CARD_COPY / timed(() -> bench.stream.copy(to, from, CARD_COPY));
  }

  /// The best product known for the card, in the dtype's units.
  private double cardPeak() {
    MatmulType type = dtype == DType.BF16 ? MatmulType.BF16_BF16 : MatmulType.F32_F32;
    int n = CARD_SQUARE;
    long count = (long) n * n;
    Gemm.Plan plan = bench.own(operations.gemm().plan(type, n, n, n));
    DeviceBuffer out = bench.empty(count * type.outputBytes());
    DeviceBuffer a = bench.random(dtype, count);
    Weight w = Weight.rows(bench.random(dtype, count), n, n);
    return 2.0 * count * n / timed(() -> plan.launch(bench.stream, out, a, w));
  }

  private double timed(Runnable work) {
    double best = Double.MAX_VALUE;
    try (var begin = context.newEvent();
        var end = context.newEvent()) {
      for (int i = 0; i <= TRIES; i++) {
        bench.stream.record(begin);
        work.run();
        bench.stream.record(end);
        end.synchronize();
        best = Math.min(best, end.millisecondsSince(begin) * 1e6);
      }
    }
    return best;
  }

  @Override
  public void close() {
    if (bench != null) {
      context.run(bench::close);
    }
    caller.close();
  }
}
