package dev.remask.cli;

import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/// Runs the commands once, with the built-in model on the software device, so that a JVM that
/// watches (`-XX:AOTCacheOutput`) knows the classes they need: `src/main/launcher/record-classes`.
final class Rehearsal {
  private static final String PROMPT = "What is 47 + 38?";

  /// Few steps: what is needed for one is needed for all, and a second block lays a pass anew.
  private static final List<List<String>> COMMANDS =
      List.of(
          List.of("generate", PROMPT, "--gen-length", "16", "--steps", "4"),
          List.of("generate", PROMPT, "--gen-length", "16", "--block-length", "8", "--format=json"),
          List.of("score", PROMPT, "--choice", "47 + 38 = 85", "--choice", "47 + 38 = 84"),
          List.of("info"));

  private Rehearsal() {}

  /// Ends with the status of the first command that fails.
  public static void main(String[] arguments) {
    Main.silenceLibraries();
    boolean terminal = false;
    for (List<String> command : COMMANDS) {
      int status = run(terminal, command);
      if (status == ExitStatus.DONE && command.getFirst().equals("generate")) {
        status = run(!terminal, command); // the same on a screen
      }
      if (status != ExitStatus.DONE) {
        System.exit(status);
      }
    }
  }

  private static int run(boolean terminal, List<String> command) {
    var quiet = new PrintStream(OutputStream.nullOutputStream(), false, StandardCharsets.UTF_8);
    var err = new PrintStream(System.err, true, StandardCharsets.UTF_8);
    var surroundings =
        new Surroundings(
            InputStream.nullInputStream(),
            quiet,
            err,
            Map.of("REMASK_DEVICE", "software"),
            Path.of("").toAbsolutePath(),
            terminal,
            false);
    return Main.run(surroundings, command.toArray(String[]::new));
  }
}
