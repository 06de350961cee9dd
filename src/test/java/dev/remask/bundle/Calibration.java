package dev.remask.bundle;

import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.Architecture;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import tools.jackson.databind.node.ObjectNode;

/// Layout calibration: what every probe of `kernels/probes` leaves behind on the card, bit for bit
/// against what it leaves in the emulator, on whose layouts the proofs of the kernels rest.
///
/// The emulator's dumps are made when the bundle is built and lie in its folder `expected`.
public final class Calibration {
  private static final String SUFFIX = ".bin.gz";

  private Calibration() {}

  static List<Task> tasks(Path root, DeviceSpec spec) {
    List<Architecture> families =
        Device.list(spec.kind()).isEmpty()
            ? List.of(Architecture.values())
            : Architecture.runnable(Device.open(spec));
    return Probes.all().stream()
        .filter(probe -> families.contains(probe.family()))
        .map(probe -> (Task) new Compared(probe, root.resolve("expected"), spec))
        .toList();
  }

  /// Writes the emulator's dumps to the folder that is the one argument.
  public static void main(String[] arguments) throws IOException {
    Path folder = Files.createDirectories(Path.of(arguments[0]));
    var emulator = new DeviceSpec(DeviceSpec.Kind.EMULATOR, 0);
    try (Context context = Context.open(Device.open(emulator))) {
      for (Probes.Probe probe : Probes.all()) {
        Path file = folder.resolve(probe.name() + SUFFIX);
        try (var out = new GZIPOutputStream(Files.newOutputStream(file))) {
          out.write(context.call(() -> probe.dump(context)));
        }
      }
    }
  }

  private record Compared(Probes.Probe probe, Path expected, DeviceSpec spec) implements Task {
    @Override
    public String name() {
      return probe.name();
    }

    @Override
    public int size() {
      return 1;
    }

    @Override
    public ObjectNode run(Duration left) throws Exception {
      byte[] wanted;
      Path file = expected.resolve(probe.name() + SUFFIX);
      try (var in = new GZIPInputStream(Files.newInputStream(file))) {
        wanted = in.readAllBytes();
      }
      byte[] found;
      try (Context context = Context.open(Device.open(spec))) {
        found = context.call(() -> probe.dump(context));
      }
      return compare(wanted, found);
    }
  }

  /// How many 32-bit words differ, and the first of them.
  static ObjectNode compare(byte[] wanted, byte[] found) {
    ObjectNode result = Results.object().put("words", wanted.length / Integer.BYTES);
    if (wanted.length != found.length) {
      return result
          .put("status", "failed")
          .put("error", found.length + " bytes instead of " + wanted.length);
    }
    ByteBuffer expected = ByteBuffer.wrap(wanted).order(ByteOrder.LITTLE_ENDIAN);
    ByteBuffer actual = ByteBuffer.wrap(found).order(ByteOrder.LITTLE_ENDIAN);
    int differing = 0;
    String first = "";
    for (int at = 0; at < wanted.length; at += Integer.BYTES) {
      if (expected.getInt(at) != actual.getInt(at)) {
        if (differing++ == 0) {
          first =
              "word %d is 0x%08x (%s), the emulator's 0x%08x (%s)"
                  .formatted(
                      at / Integer.BYTES,
                      actual.getInt(at),
                      actual.getFloat(at),
                      expected.getInt(at),
                      expected.getFloat(at));
        }
      }
    }
    if (differing == 0) {
      return result.put("status", "passed");
    }
    return result
        .put("status", "failed")
        .put("differing", differing)
        .put("error", differing + " words differ; " + first);
  }
}
