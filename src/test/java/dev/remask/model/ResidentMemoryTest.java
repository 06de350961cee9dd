package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.ChildJvm;
import java.io.IOException;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// A load keeps little more in the machine's memory than the weights: what has been read of the
/// checkpoint goes.
class ResidentMemoryTest {
  private static final Pattern RATIO = Pattern.compile("without the JVM ([0-9.]+)");

  /// What the issue of the host kernels promised.
  private static final double MOST = 1.15;

  /// Some 330 MiB in bf16, so that a JVM's ups and downs do not count.
  private static RandomModel model(TensorType type) {
    return new RandomModel(6, 16, 16, 64, 3072, 48_000, 48_000, false, type, 0);
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16", "F32"})
  void load_leavesTheCheckpointOnDisk(TensorType type, @TempDir Path folder) throws IOException {
    model(type).writeZeros(folder);
    var result = new ChildJvm().run(ResidentMemory.class, folder.toString(), "bf16");
    assertEquals(0, result.status(), result.output());
    Matcher ratio = RATIO.matcher(result.output());
    assertTrue(ratio.find(), result.output());
    assertTrue(Double.parseDouble(ratio.group(1)) <= MOST, result.output());
  }
}
