package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
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

/// The choice of a token and its confidence, from logits over LLaDA's vocabulary. Floor: the logits
/// read once.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
public class SelectBenchmark {
  private static final int VOCABULARY = 126_464;

  @Param("software")
  public String device;

  @Param({"1", "8", "32", "64", "512"})
  public int selectRows;

  private KernelFixture fixture;

  @Setup
  public void open() {
    fixture = KernelFixture.open(device, DType.F32, this::prepare);
  }

  private void prepare(KernelFixture f) {
    MaskedSelect select = f.operations.maskedSelect();
    var table = new DiffusionState.Row[selectRows];
    for (int row = 0; row < selectRows; row++) {
      table[row] = new DiffusionState.Row(0, row, 0, DiffusionState.CHOOSE, -1, -1, row);
    }
    long count = (long) selectRows * VOCABULARY;
    DeviceBuffer logits = f.bench.f32(count);
    var buffers =
        new MaskedSelect.Buffers(
            logits,
            f.bench.rows(table),
            f.bench.sequence(),
            null,
            f.bench.empty(MaskedSelect.partialBytes(selectRows, VOCABULARY)),
            f.bench.empty((long) selectRows * Integer.BYTES),
            f.bench.empty((long) selectRows * Float.BYTES));
    var tokens = new SpecialTokens(VOCABULARY, VOCABULARY - 1, -1, -1);
    double bytes = (double) Float.BYTES * count;
    f.measure(
        () -> select.launch(f.bench.stream, buffers, selectRows, VOCABULARY, tokens),
        bytes,
        0,
        bytes);
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
  public void maskedSelect(Work work) {
    fixture.launch(work);
  }
}
