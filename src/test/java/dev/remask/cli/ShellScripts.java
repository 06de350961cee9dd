package dev.remask.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/// Runs the project's shell scripts in made-up surroundings.
final class ShellScripts {
  private static final int SECONDS = 60;

  private ShellScripts() {}

  /// What a script did; `output` is standard output and error together.
  record Outcome(int status, String output) {}

  /// The project's folder, which is where Maven runs the tests.
  static Path project() {
    Path folder = Path.of("").toAbsolutePath();
    while (!Files.exists(folder.resolve(".mvn/find-jdk.sh"))) {
      folder = folder.getParent();
      if (folder == null) {
        throw new IllegalStateException("run the tests inside the project's folder");
      }
    }
    return folder;
  }

  /// A folder that passes for a JDK; its `java` prints `text` and its arguments.
  static Path fakeJdk(Path folder, String version, String text) throws IOException {
    Path bin = Files.createDirectories(folder.resolve("bin"));
    Files.writeString(folder.resolve("release"), "JAVA_VERSION=\"" + version + "\"\n");
    script(bin.resolve("java"), "echo " + text + "; for a in \"$@\"; do echo \"[$a]\"; done");
    script(bin.resolve("javac"), "exit 1");
    return folder;
  }

  static void script(Path file, String body) throws IOException {
    Files.writeString(file, "#!/bin/sh\n" + body + "\n");
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  /// Runs a command with nothing in its environment but `environment` and the usual path, on which
  /// the folder `tools` comes first.
  static Outcome run(Path folder, Path tools, Map<String, String> environment, List<String> command)
      throws IOException, InterruptedException {
    Path output = Files.createTempFile(folder, "output", ".txt");
    var builder = new ProcessBuilder(command).directory(folder.toFile());
    builder.environment().clear();
    builder.environment().put("PATH", tools + ":/usr/bin:/bin");
    builder.environment().put("HOME", folder.toString());
    builder.environment().putAll(environment);
    builder.redirectErrorStream(true).redirectOutput(output.toFile());
    builder.redirectInput(Path.of("/dev/null").toFile());
    Process process = builder.start();
    if (!process.waitFor(SECONDS, TimeUnit.SECONDS)) {
      process.destroyForcibly();
      throw new IllegalStateException(command + " did not end: " + Files.readString(output));
    }
    return new Outcome(process.exitValue(), Files.readString(output, StandardCharsets.UTF_8));
  }
}
