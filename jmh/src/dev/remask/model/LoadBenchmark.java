package dev.remask.model;

import dev.remask.bench.SyntheticFiles;
import dev.remask.bench.SyntheticModel;
import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.DType;
import dev.remask.measure.Moved;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/// Loading a model of random weights from files that the system has in its cache: `map` opens and
/// checks the headers, `load` makes a mask predictor of them, weights and workspace, and closes it.
/// GB/s are bytes of the weights' files.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@Fork(1)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
public class LoadBenchmark {
  private static final int HEADS = 8;
  private static final int WIDTH = HEADS * 128;
  private static final int VOCABULARY = 8192;
  private static final double LAYER_MEGABYTES = 27.3;

  @Param("software")
  public String device;

  @Param("BF16")
  public DType dtype;

  /// About so many megabytes of weights.
  @Param({"64", "512"})
  public int file;

  private Path folder;
  private Context context;
  private long bytes;

  @Setup
  public void open() throws IOException {
    folder = Files.createTempDirectory("remask-load");
    int layers = Math.max(1, (int) (file / LAYER_MEGABYTES) - 1);
    var shape = new SyntheticModel(WIDTH, layers, HEADS, HEADS, 3 * WIDTH, VOCABULARY, 1024, 0);
    Path model = folder.resolve("model");
    SyntheticFiles.write(shape, model, ProgressListener.NONE);
    folder = model;
    try (var files = Files.list(model)) {
      bytes =
          files
              .filter(path -> path.toString().endsWith(".safetensors"))
              .mapToLong(path -> path.toFile().length())
              .sum();
    }
    context = Context.open(Device.open(DeviceSpec.parse(device)));
  }

  @TearDown
  public void close() throws IOException {
    context.close();
    try (var all = Files.walk(folder.getParent())) {
      for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    }
  }

  @Benchmark
  public int map() {
    try (SafeTensors tensors = SafeTensors.open(folder)) {
      return tensors.tensors().size();
    }
  }

  @Benchmark
  public long load(Moved moved) {
    var limits = new WorkspaceLimits(64, 32, 1);
    try (MaskPredictor predictor =
        MaskPredictor.load(context, folder, dtype, limits, ProgressListener.NONE)) {
      moved.count(bytes);
      return predictor.plannedBytes();
    }
  }
}
