package dev.remask.embed;

import dev.remask.GenerateRequest;
import dev.remask.LoadOptions;
import dev.remask.Model;
import dev.remask.Remask;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.diffusion.DiffusionOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/// Loads, uses and closes models again and again; prints what the process holds, after the first
/// rounds and after 200 more: device allocations, their bytes, open files, resident bytes.
final class LoadAndUnload {
  /// Until then compiled code, class data and the allocator's pools grow.
  private static final int WARM_UP = 60;

  private static final int ROUNDS = 200;

  private LoadAndUnload() {}

  public static void main(String[] folder) throws IOException {
    Path micro = Path.of(folder[0]);
    LoadOptions options = LoadOptions.defaults().withDevice(DeviceSpec.parse("software"));
    int[] answer = null;
    for (int round = 0; round <= WARM_UP + ROUNDS; round++) {
      try (Model first = Remask.load(micro, options);
          Model second = round % 20 == 0 ? Remask.load(Remask.defaultModel(), options) : null) {
        int[] found = answer(first);
        if (answer != null && !Arrays.equals(answer, found)) {
          throw new AssertionError("round " + round + " answers differently");
        }
        answer = found;
        if (second != null) {
          second.generate("What is 1 + 1?");
        }
      }
      if (round == WARM_UP || round == WARM_UP + ROUNDS) {
        System.out.println(
            SoftwareDevice.liveAllocations()
                + " "
                + SoftwareDevice.liveBytes()
                + " "
                + openFiles()
                + " "
                + residentBytes());
      }
    }
  }

  private static int[] answer(Model model) {
    return model
        .generate(
            GenerateRequest.builder()
                .promptIds(1, 2, 3)
                .options(DiffusionOptions.builder().genLength(8).build())
                .build())
        .outputIds();
  }

  private static long residentBytes() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS:")) {
        return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
      }
    }
    throw new IOException("no VmRSS");
  }

  private static long openFiles() throws IOException {
    try (var files = Files.list(Path.of("/proc/self/fd"))) {
      return files.count();
    }
  }
}
