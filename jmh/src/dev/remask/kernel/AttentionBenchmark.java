package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.measure.Work;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/// Attention over packed sequences, with the heads of LLaDA-8B.
///
/// `8x4096` are eight sequences of 4,096 tokens that see all of themselves; `32on4096` is a block
/// of 32 queries on 4,096 keys, as block caches ask for. Floor: 4·queries·keys·width operations for
/// the two products, the exponentials not counted.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
public class AttentionBenchmark {
  private static final int HEAD_DIM = 128;

  @Param("software")
  public String device;

  @Param("BF16")
  public DType dtype;

  @Param("32")
  public int heads;

  @Param({"1x512", "1x1024", "1x2048", "1x4096", "8x512", "8x4096", "32on1024", "32on4096"})
  public String attention;

  private KernelFixture fixture;

  @Setup
  public void open() {
    fixture = KernelFixture.open(device, dtype, this::prepare);
  }

  private void prepare(KernelFixture f) {
    boolean isBlock = attention.contains("on");
    String[] sizes = attention.split("x|on");
    int sequences = isBlock ? 1 : Integer.parseInt(sizes[0]);
    int keys = Integer.parseInt(sizes[1]);
    int queries = isBlock ? Integer.parseInt(sizes[0]) : keys;
    int width = heads * HEAD_DIM;
    long q = (long) sequences * queries;
    long k = (long) sequences * keys;
    int[] queryLengths = new int[sequences];
    Arrays.fill(queryLengths, queries);
    int[] keyLengths = new int[sequences];
    Arrays.fill(keyLengths, keys);
    Attention operation = f.operations.attention();
    AttentionWork work = operation.work(queryLengths, keyLengths);
    long scratch = Attention.scratchBytes(work.partialRows(), heads, HEAD_DIM);
    DeviceBuffer out = f.bench.empty(q * width * dtype.bytes());
    var buffers =
        new Attention.Buffers(
            out,
            f.bench.random(dtype, q * width),
            f.bench.random(dtype, k * width),
            f.bench.random(dtype, k * width),
            f.bench.ints(offsets(sequences, queries)),
            f.bench.ints(offsets(sequences, keys)),
            work.intCount() == 0 ? null : f.bench.ints(work.ints()),
            scratch == 0 ? null : f.bench.empty(scratch),
            null);
    var shape =
        new Attention.Shape(
            sequences, queries, (int) q, (int) k, heads, heads, HEAD_DIM, width, width, width);
    double bytes = 2.0 * dtype.bytes() * width * (q + k);
    f.measure(
        () -> operation.launch(f.bench.stream, buffers, shape, work),
        bytes,
        4.0 * q * keys * width,
        bytes);
  }

  private static int[] offsets(int sequences, int length) {
    int[] offsets = new int[sequences + 1];
    Arrays.setAll(offsets, i -> i * length);
    return offsets;
  }

  @TearDown(Level.Iteration)
  public void drain() {
    fixture.drain();
  }

  @TearDown
  public void close() {
    fixture.close();
  }

  @Benchmark
  public void attention(Work work) {
    fixture.launch(work);
  }
}
