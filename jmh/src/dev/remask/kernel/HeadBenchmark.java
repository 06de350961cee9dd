package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.MatmulType;
import dev.remask.measure.Work;
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
import org.openjdk.jmh.infra.BenchmarkParams;

/// The LM head and the choice of tokens of LLaDA-8B, from the last norm's rows to candidates:
/// `fused` where the device has such a kernel, which never writes logits, and `separate`, a product
/// that does and the selection that reads them. Floor: the head's weights read once, or its
/// products.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
public class HeadBenchmark {
  private static final int VOCABULARY = 126_464;
  private static final int WIDTH = 4096;

  @Param("software")
  public String device;

  @Param("BF16")
  public DType dtype;

  @Param({"1", "32", "64"})
  public int selectRows;

  private KernelFixture fixture;

  @Setup
  public void open(BenchmarkParams parameters) {
    boolean isFused = parameters.getBenchmark().endsWith("fused");
    fixture = KernelFixture.open(device, dtype, f -> prepare(f, isFused));
  }

  private void prepare(KernelFixture f, boolean isFused) {
    var table = new DiffusionState.Row[selectRows];
    for (int row = 0; row < selectRows; row++) {
      table[row] = new DiffusionState.Row(0, row, 0, DiffusionState.CHOOSE, -1, -1, row);
    }
    Gemm gemm = f.operations.gemm();
    long weights = (long) VOCABULARY * WIDTH;
    Weight head = Weight.rows(f.bench.random(dtype, weights), VOCABULARY, WIDTH);
    if (gemm.packs(dtype)) {
      head = gemm.pack(f.bench.stream, head, dtype);
    }
    DeviceBuffer hidden = f.bench.random(dtype, (long) selectRows * WIDTH);
    DeviceBuffer rows = f.bench.rows(table);
    DeviceBuffer sequence = f.bench.sequence();
    DeviceBuffer partials = f.bench.empty(MaskedSelect.partialBytes(selectRows, VOCABULARY));
    DeviceBuffer candidates = f.bench.empty((long) selectRows * Integer.BYTES);
    DeviceBuffer keys = f.bench.empty((long) selectRows * Float.BYTES);
    var tokens = new SpecialTokens(VOCABULARY, VOCABULARY - 1, -1, -1);
    Runnable work =
        isFused
            ? fused(
                f,
                new HeadSelect.Buffers(hidden, head, rows, sequence, partials, candidates, keys),
                tokens)
            : separate(f, hidden, head, rows, sequence, partials, candidates, keys, tokens);
    double bytes = (double) weights * dtype.bytes();
    f.measure(work, bytes, 2.0 * selectRows * weights, bytes);
  }

  private Runnable fused(KernelFixture f, HeadSelect.Buffers buffers, SpecialTokens tokens) {
    HeadSelect select =
        f.operations
            .headSelect()
            .orElseThrow(() -> new IllegalStateException("this device fuses no LM head"));
    return () -> select.launch(f.bench.stream, buffers, selectRows, tokens);
  }

  private Runnable separate(
      KernelFixture f,
      DeviceBuffer hidden,
      Weight head,
      DeviceBuffer rows,
      DeviceBuffer sequence,
      DeviceBuffer partials,
      DeviceBuffer candidates,
      DeviceBuffer keys,
      SpecialTokens tokens) {
    MatmulType type = dtype == DType.F32 ? MatmulType.F32_F32 : MatmulType.BF16_F32;
    Gemm.Plan plan =
        f.bench.own(f.operations.gemm().plan(type, selectRows, VOCABULARY, WIDTH, head.layout()));
    DeviceBuffer logits = f.bench.empty((long) selectRows * VOCABULARY * Float.BYTES);
    var buffers =
        new MaskedSelect.Buffers(logits, rows, sequence, null, partials, candidates, keys);
    MaskedSelect select = f.operations.maskedSelect();
    return () -> {
      plan.launch(f.bench.stream, logits, hidden, head);
      select.launch(f.bench.stream, buffers, selectRows, VOCABULARY, tokens);
    };
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
  public void fused(Work work) {
    fixture.launch(work);
  }

  @Benchmark
  public void separate(Work work) {
    fixture.launch(work);
  }
}
