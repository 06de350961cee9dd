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
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Stream;

/// Prints which threads there are before, while and after models are open: those that the operating
/// system knows, Java's and native ones, by the names it knows.
final class ThreadsOfAModel {
  private ThreadsOfAModel() {}

  public static void main(String[] folder) throws Exception {
    Path micro = Path.of(folder[0]);
    LoadOptions options = LoadOptions.defaults().withDevice(DeviceSpec.parse("software"));
    System.out.println("before " + threads());
    try (Model model = Remask.load(micro, options)) {
      model.generate(request());
      System.out.println("one " + threads());
      System.out.println("told " + new TreeSet<>(SoftwareDevice.threadNames()));
      try (Model second = Remask.load(micro, options)) {
        second.generate(request());
        System.out.println("two " + threads());
      }
      model.generate(request());
      System.out.println("one " + threads());
    }
    System.out.println("after " + threads());
  }

  /// Long enough that the work is shared among compute threads.
  private static GenerateRequest request() {
    return GenerateRequest.builder()
        .promptIds(new int[60])
        .options(DiffusionOptions.builder().genLength(60).steps(2).build())
        .build();
  }

  private static List<String> threads() throws IOException, InterruptedException {
    // A thread that has been joined may stand there a moment longer.
    Thread.sleep(100);
    try (Stream<Path> tasks = Files.list(Path.of("/proc/self/task"))) {
      return tasks.map(ThreadsOfAModel::name).sorted().toList();
    }
  }

  private static String name(Path task) {
    try {
      return Files.readString(task.resolve("comm")).strip();
    } catch (IOException e) {
      return "ended meanwhile";
    }
  }
}
