package dev.remask.cli;

import java.io.PrintStream;
import java.util.Locale;

/// The line on standard error that tells how far a batch has come, where somebody watches it.
final class BatchProgress {
  private static final long FRAME_NANOS = 100_000_000;
  private static final double NANOS_PER_SECOND = 1e9;

  private final PrintStream err;
  private final boolean shown;
  private final int columns;

  /// Requests of the whole batch; 0: not known.
  private final long total;

  private final long before;
  private final long beginNanos = System.nanoTime();
  private long nextFrameNanos = beginNanos;
  private long done;
  private long tokens;
  private boolean drawn;

  /// `before`: requests that an earlier run has answered.
  BatchProgress(Surroundings surroundings, long total, long before) {
    err = surroundings.err();
    shown = surroundings.errIsTerminal();
    columns = TerminalSize.of(surroundings.environment()).columns();
    this.total = total;
    this.before = before;
  }

  /// One request more has its result, of so many tokens.
  void add(int answerTokens) {
    done++;
    tokens += answerTokens;
    long now = System.nanoTime();
    if (shown && (now >= nextFrameNanos || before + done == total)) {
      nextFrameNanos = now + FRAME_NANOS;
      String line = line((now - beginNanos) / NANOS_PER_SECOND);
      err.print("\r" + line.substring(0, Math.min(line.length(), columns - 1)) + Ansi.CLEAR_LINE);
      err.flush();
      drawn = true;
    }
  }

  /// Takes the line away, for results that go to the same screen.
  void hide() {
    if (drawn) {
      err.print("\r" + Ansi.CLEAR_LINE);
      err.flush();
      drawn = false;
    }
  }

  /// Leaves the last state to be read.
  void end() {
    if (drawn) {
      err.println();
      err.flush();
      drawn = false;
    }
  }

  private String line(double seconds) {
    String all = total > 0 ? "/" + total : "";
    String left =
        total > 0
            ? String.format(Locale.ROOT, "  ETA %.0f s", seconds / done * (total - before - done))
            : "";
    return String.format(
        Locale.ROOT, "done %d%s  %.0f tokens/s%s", before + done, all, tokens / seconds, left);
  }
}
