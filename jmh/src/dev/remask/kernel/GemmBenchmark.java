package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.MatmulType;
import dev.remask.measure.Work;
import java.util.List;
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

/// A product with weights, at the shapes of LLaDA-8B: what a layer and the LM head multiply by.
///
/// Floor: the weights read once, or 2·m·n·k at the f32 FMA peak. Instructions that multiply bf16 or
/// int8 in pairs can go beyond that peak.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
public class GemmBenchmark {
  private static final int WIDTH = 4096;
  private static final int FEED_FORWARD = 12_288;
  private static final int VOCABULARY = 126_464;

  /// The matrices of a block, and the LM head.
  public enum Product {
    qkv(3 * WIDTH, WIDTH),
    out(WIDTH, WIDTH),
    gate_up(2 * FEED_FORWARD, WIDTH),
    down(WIDTH, FEED_FORWARD),
    head(VOCABULARY, WIDTH);

    private final int n;
    private final int k;

    Product(int n, int k) {
      this.n = n;
      this.k = k;
    }
  }

  @Param("software")
  public String device;

  @Param("BF16")
  public DType dtype;

  @Param({"qkv", "out", "gate_up", "down", "head"})
  public Product product;

  @Param({"1", "4", "16", "64", "256", "1024"})
  public int gemmRows;

  /// How the weights lie: ROWS, PACKED (the software device's host kernels only), INT8 (whose
  /// product quantises its rows, too), or what a model gets on this device.
  @Param("AUTO")
  public String layout;

  private KernelFixture fixture;
  private int next;

  @Setup
  public void open() {
    fixture = KernelFixture.open(device, dtype, this::prepare);
  }

  private void prepare(KernelFixture f) {
    long n = product.n;
    long k = product.k;
    // The LM head's logits are f32.
    MatmulType type =
        dtype == DType.F32
            ? MatmulType.F32_F32
            : product == Product.head ? MatmulType.BF16_F32 : MatmulType.BF16_BF16;
    Gemm gemm = f.operations.gemm();
    Weight.Layout lie =
        !layout.equals("AUTO")
            ? Weight.Layout.valueOf(layout)
            : gemm.packs(dtype) ? Weight.Layout.PACKED : Weight.Layout.ROWS;
    boolean isInt8 = lie == Weight.Layout.INT8;
    if (isInt8) {
      f.operations.prepareInt8(f.bench.empty(Gemm.int8ScratchBytes(gemmRows, k)));
    }
    Gemm.Plan plan = f.bench.own(gemm.plan(type, gemmRows, product.n, product.k, lie));
    DeviceBuffer out = f.bench.empty(gemmRows * n * type.outputBytes());
    DeviceBuffer a = f.bench.random(dtype, gemmRows * k);
    long bytes = n * k * (isInt8 ? Byte.BYTES : dtype.bytes());
    List<Weight> weights = f.cold(bytes, i -> weight(f, lie));
    f.measure(
        () -> {
          plan.launch(f.bench.stream, out, a, weights.get(next));
          next = (next + 1) % weights.size();
        },
        bytes + gemmRows * (k * dtype.bytes() + n * type.outputBytes()),
        2.0 * gemmRows * n * k,
        (double) bytes * weights.size());
  }

  private Weight weight(KernelFixture f, Weight.Layout lie) {
    long count = (long) product.n * product.k;
    if (lie == Weight.Layout.INT8) {
      // Any bits are integers.
      DeviceBuffer integers = f.bench.random(DType.BF16, count / 2);
      return new Weight(integers, product.n, product.k, lie, f.bench.f32(product.n));
    }
    Weight rows = Weight.rows(f.bench.random(dtype, count), product.n, product.k);
    return lie == Weight.Layout.PACKED
        ? f.operations.gemm().pack(f.bench.stream, rows, dtype)
        : rows;
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
  public void gemm(Work work) {
    fixture.launch(work);
  }
}
