package dev.remask.model;

import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/// Prints what a load of a model and a forward pass take of the machine's memory at their peak:
/// `jmh/resident-memory FOLDER [bf16|f32]`.
///
/// On the software device the model itself is in that memory. The JVM's own is told apart by a look
/// before the load.
final class ResidentMemory {
  private static final int TOKENS = 64;
  private static final int ROWS = 32;
  private static final double MIB = 1 << 20;

  private ResidentMemory() {}

  public static void main(String[] arguments) throws IOException {
    Path folder = Path.of(arguments[0]);
    DType dtype =
        arguments.length < 2 ? DType.BF16 : DType.valueOf(arguments[1].toUpperCase(Locale.ROOT));
    var limits = new WorkspaceLimits(TOKENS, ROWS, 1);
    try (Context context = Context.open(Device.open(DeviceSpec.parse("software")))) {
      long before = bytes("VmRSS");
      long nanos = System.nanoTime();
      try (MaskPredictor predictor =
          MaskPredictor.load(context, folder, dtype, limits, ProgressListener.NONE)) {
        nanos = System.nanoTime() - nanos;
        pass(context, predictor);
        long peak = bytes("VmHWM");
        long weights = predictor.weights().bytes();
        long workspace = predictor.plannedBytes() - weights;
        System.out.printf(
            Locale.ROOT,
            "weights %.1f MiB, workspace %.1f MiB, loaded in %.0f ms%n"
                + "resident: before %.1f MiB, at the peak %.1f MiB%n"
                + "beyond the workspace, per byte of weights: %.3f, without the JVM %.3f%n",
            weights / MIB,
            workspace / MIB,
            nanos / 1e6,
            before / MIB,
            peak / MIB,
            (double) (peak - workspace) / weights,
            (double) (peak - before - workspace) / weights);
      }
    }
  }

  /// One pass over a whole canvas, so that the workspace is touched, too.
  private static void pass(Context context, MaskPredictor predictor) {
    context.run(() -> {
      try (DeviceMemory canvas = context.allocate((long) TOKENS * Integer.BYTES)) {
        predictor.stream().fill(canvas.buffer(), (byte) 0);
        PassShape shape = PassShape.of(List.of(PassSequence.whole(0, TOKENS)), ROWS);
        Batch batch = predictor.prepare(shape, canvas.buffer());
        predictor.stream().fill(batch.rowIndex(), (byte) 0);
        batch.forward();
        predictor.stream().synchronize();
      }
    });
  }

  /// A line of what the system knows of this process, such as VmHWM, the most that was resident.
  private static long bytes(String name) throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith(name + ":")) {
        return Long.parseLong(line.replaceAll("[^0-9]", "")) << 10;
      }
    }
    throw new IllegalStateException("/proc/self/status has no " + name);
  }
}
