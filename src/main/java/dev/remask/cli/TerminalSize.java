package dev.remask.cli;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/// The size of the terminal in characters.
///
/// @param columns its width
/// @param rows its height
record TerminalSize(int columns, int rows) {
  private static final TerminalSize USUAL = new TerminalSize(80, 24);
  private static final int SMALLEST = 10;
  private static final int SECONDS_TO_ANSWER = 1;

  /// `COLUMNS` and `LINES` where they are exported, else what `stty` says, else 80 by 24.
  static TerminalSize of(Map<String, String> environment) {
    String columns = environment.getOrDefault("COLUMNS", "");
    String rows = environment.getOrDefault("LINES", "");
    TerminalSize exported = parse(rows + " " + columns);
    return exported != null ? exported : ask();
  }

  private static TerminalSize ask() {
    try {
      Process stty =
          new ProcessBuilder("stty", "size")
              .redirectInput(new File("/dev/tty"))
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      String answer = new String(stty.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
      if (!stty.waitFor(SECONDS_TO_ANSWER, TimeUnit.SECONDS)) {
        stty.destroyForcibly();
      }
      TerminalSize size = parse(answer);
      return size == null ? USUAL : size;
    } catch (IOException e) {
      return USUAL;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return USUAL;
    }
  }

  /// Reads "rows columns"; null for anything else, and for sizes in which nothing can be drawn.
  private static TerminalSize parse(String text) {
    String[] parts = text.strip().split(" ");
    if (parts.length != 2 || !parts[0].matches("\\d{1,5}") || !parts[1].matches("\\d{1,5}")) {
      return null;
    }
    var size = new TerminalSize(Integer.parseInt(parts[1]), Integer.parseInt(parts[0]));
    return size.columns < SMALLEST || size.rows < SMALLEST ? null : size;
  }
}
