package dev.remask.cli;

import dev.remask.bench.Bench;
import dev.remask.model.ProgressListener;
import java.io.PrintStream;

/// What a measurement is at, on standard error: a line that is written over where somebody watches,
/// else a line for each phase.
final class BenchProgress implements Bench.Listener, ProgressListener {
  private static final long FRAME_NANOS = 100_000_000;

  private final PrintStream err;
  private final boolean shown;
  private final int columns;
  private String phase = "";
  private long nextFrameNanos = System.nanoTime();
  private boolean drawn;

  BenchProgress(Surroundings surroundings) {
    err = surroundings.err();
    shown = surroundings.errIsTerminal();
    columns = TerminalSize.of(surroundings.environment()).columns();
  }

  @Override
  public void begins(String what) {
    if (shown) {
      draw(what);
      return;
    }
    String next = what.replaceFirst(":.*", "");
    if (!next.equals(phase)) {
      phase = next;
      err.println("remask: " + next);
      err.flush();
    }
  }

  /// How far a synthetic model is written.
  @Override
  public void onProgress(long bytesDone, long bytesTotal) {
    long now = System.nanoTime();
    if (shown && now >= nextFrameNanos) {
      nextFrameNanos = now + FRAME_NANOS;
      draw("writing random weights: " + 100 * bytesDone / Math.max(1, bytesTotal) + " %");
    }
  }

  /// Takes the line away.
  void end() {
    if (drawn) {
      err.print("\r" + Ansi.CLEAR_LINE);
      err.flush();
      drawn = false;
    }
  }

  private void draw(String line) {
    err.print("\r" + line.substring(0, Math.min(line.length(), columns - 1)) + Ansi.CLEAR_LINE);
    err.flush();
    drawn = true;
  }
}
