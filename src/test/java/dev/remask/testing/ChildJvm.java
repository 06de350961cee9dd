package dev.remask.testing;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/// A JVM of a test's own: for what a process can do only once, or does not survive.
public final class ChildJvm {
  private static final long LIMIT_SECONDS = 120;

  /// What it printed (both streams) and its exit status.
  public record Result(int status, String output) {}

  private final List<String> command = new ArrayList<>();
  private final ProcessBuilder builder = new ProcessBuilder();
  private String classPath;

  /// A child with this JVM's class path and environment.
  public ChildJvm() {
    classPath = inheritedClassPath();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(
        List.of("--enable-native-access=ALL-UNNAMED", "-XX:+UseSerialGC", "-Xshare:auto"));
    builder.redirectErrorStream(true);
    // A child that dies on purpose leaves no core file and no report behind.
    command.add("-XX:-CreateCoredumpOnCrash");
    command.add("-XX:ErrorFile=/dev/null");
  }

  /// The class path of the tests.
  public static String inheritedClassPath() {
    String surefire = System.getProperty("surefire.test.class.path");
    return surefire != null ? surefire : System.getProperty("java.class.path");
  }

  /// Sets an environment variable; null removes it.
  public ChildJvm environment(String name, String value) {
    Map<String, String> environment = builder.environment();
    if (value == null) {
      environment.remove(name);
    } else {
      environment.put(name, value);
    }
    return this;
  }

  /// Puts `folder` before the class path.
  public ChildJvm before(Path folder) {
    classPath = folder + java.io.File.pathSeparator + classPath;
    return this;
  }

  /// Passes options to the JVM.
  public ChildJvm options(String... options) {
    command.addAll(List.of(options));
    return this;
  }

  /// Sets a system property.
  public ChildJvm property(String name, String value) {
    command.add("-D" + name + "=" + value);
    return this;
  }

  /// Uses `path` alone as the class path.
  public ChildJvm classPath(String path) {
    classPath = path;
    return this;
  }

  /// Starts the `main` of a class; the caller ends it.
  public Process start(Class<?> main, String... arguments) throws IOException {
    return start(main.getName(), arguments);
  }

  private Process start(String main, String... arguments) throws IOException {
    var all = new ArrayList<>(command);
    all.addAll(List.of("-cp", classPath, main));
    all.addAll(List.of(arguments));
    return builder.command(all).start();
  }

  /// Runs the `main` of a class and waits for its end.
  public Result run(Class<?> main, String... arguments) {
    return run(main.getName(), arguments);
  }

  /// Runs the `main` of a class that this JVM does not have, and waits for its end.
  public Result run(String main, String... arguments) {
    try {
      Process process = start(main, arguments);
      process.getOutputStream().close();
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (!process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new AssertionError("the child JVM has not ended; it printed: " + output);
      }
      return new Result(process.exitValue(), output);
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError(e);
    }
  }
}
