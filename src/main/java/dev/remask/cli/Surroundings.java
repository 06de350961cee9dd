package dev.remask.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/// Everything a command takes from the process it runs in, so that tests can put something else in
/// its place. Text is UTF-8 everywhere, whatever the locale.
///
/// @param in standard input
/// @param out standard output: answers only
/// @param err standard error: progress and messages
/// @param environment environment variables
/// @param folder the working folder
/// @param outIsTerminal whether somebody watches `out`
/// @param errIsTerminal whether somebody watches `err`
record Surroundings(
    InputStream in,
    PrintStream out,
    PrintStream err,
    Map<String, String> environment,
    Path folder,
    boolean outIsTerminal,
    boolean errIsTerminal) {

  /// Those of this process.
  static Surroundings ofProcess() {
    return new Surroundings(
        System.in,
        utf8(FileDescriptor.out),
        utf8(FileDescriptor.err),
        System.getenv(),
        Path.of("").toAbsolutePath(),
        isTerminal(1),
        isTerminal(2));
  }

  private static PrintStream utf8(FileDescriptor descriptor) {
    return new PrintStream(new FileOutputStream(descriptor), false, StandardCharsets.UTF_8);
  }

  /// `System.console()` only knows about both streams at once; Linux knows about each.
  private static boolean isTerminal(int descriptor) {
    try {
      Path target = Files.readSymbolicLink(Path.of("/proc/self/fd/" + descriptor));
      return target.startsWith("/dev/pts") || target.toString().startsWith("/dev/tty");
    } catch (IOException e) {
      return false;
    }
  }

  /// Whether stack traces are wanted without a flag.
  boolean debug() {
    String value = environment.getOrDefault("REMASK_DEBUG", "");
    return !value.isEmpty() && !value.equals("0");
  }
}
