package dev.remask.bundle;

import dev.remask.cuda.Device;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.node.ObjectNode;

/// What a report says of the machine it was made on.
final class Card {
  private static final Path DRIVER = Path.of("/proc/driver/nvidia/version");

  /// What `nvidia-smi` is asked for, where there is one.
  private static final List<String> QUERIES =
      List.of(
          "driver_version",
          "clocks.sm",
          "clocks.mem",
          "clocks.max.sm",
          "clocks.max.mem",
          "power.limit",
          "temperature.gpu",
          "ecc.mode.current");

  private Card() {}

  static ObjectNode describe(Device device) {
    ObjectNode json = Results.object();
    json.put("name", device.name());
    json.put("device", device.spec().toString());
    json.put("compute_capability", device.computeCapability() / 10.0);
    json.put("multiprocessors", device.multiprocessors());
    json.put("memory_bytes", device.totalBytes());
    json.put(
        "driver_cuda", device.driverVersion() / 1000 + "." + device.driverVersion() % 1000 / 10);
    try {
      json.put("kernel_module", Files.readAllLines(DRIVER).getFirst().strip());
    } catch (IOException e) {
      json.putNull("kernel_module"); // no NVIDIA driver: a software device
    }
    addClocks(json, device.spec().ordinal());
    json.put("java", Runtime.version().toString());
    json.put("date", java.time.Instant.now().toString());
    json.put("commit", System.getProperty("remask.bundle.commit", "unknown"));
    return json;
  }

  private static void addClocks(ObjectNode json, int ordinal) {
    try {
      var asked =
          Children.run(
              Duration.ofSeconds(20),
              Map.of(),
              List.of(
                  "nvidia-smi",
                  "--id=" + ordinal,
                  "--format=csv,noheader",
                  "--query-gpu=" + String.join(",", QUERIES)));
      String[] values = asked.tail().strip().split(", *");
      if (asked.isInTime() && asked.status() == 0 && values.length == QUERIES.size()) {
        for (int i = 0; i < values.length; i++) {
          json.put(QUERIES.get(i).replace('.', '_'), values[i]);
        }
      }
    } catch (IOException e) {
      json.putNull("driver_version"); // no nvidia-smi: the clocks stay unknown
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
