package dev.remask.cli;

import dev.remask.GenerateRequest;
import dev.remask.GenerateResult;
import dev.remask.Generation;
import dev.remask.Model;
import dev.remask.Session;
import dev.remask.diffusion.Commit;
import dev.remask.diffusion.StepEvent;
import dev.remask.diffusion.StepListener;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CancellationException;

/// Draws an answer on a terminal while it unmasks, with a progress line below it on standard error.
///
/// Each picture replaces the one before it: the cursor goes up as many lines as were drawn. Lines
/// are broken here and not by the terminal, so that their number is known; of an answer that is
/// higher than the screen, the part in which something happens is shown.
final class AnswerScreen implements StepListener {
  private static final long FRAME_NANOS = 33_000_000;
  private static final double NANOS_PER_MS = 1e6;
  private static final double MS_PER_SECOND = 1e3;

  private final PrintStream out;
  private final PrintStream err;
  private final boolean showProgress;
  private final TerminalSize size;
  private final Canvas canvas;
  private final long beginNanos = System.nanoTime();
  private long nextFrameNanos;
  private int drawnLines;

  /// What is known of the answer, or of the canvas; grows with an answer of automatic length.
  private int[] answerIds;

  AnswerScreen(Surroundings surroundings, TerminalSize size, Canvas canvas, int[] initialIds) {
    out = surroundings.out();
    err = surroundings.err();
    showProgress = surroundings.errIsTerminal();
    this.size = size;
    this.canvas = canvas;
    answerIds = canvas.withMasks(initialIds);
  }

  /// Generates and draws; the finished text stays on the screen.
  static GenerateResult show(Model model, GenerateRequest request, Surroundings surroundings) {
    TerminalSize size = TerminalSize.of(surroundings.environment());
    try (Session session = model.session()) {
      Generation generation = session.submit(request);
      var screen = new AnswerScreen(surroundings, size, Canvas.of(model), generation.initialIds());
      GenerateResult result;
      try {
        result = generation.await(screen);
      } catch (InterruptedException e) {
        screen.leave();
        Thread.currentThread().interrupt();
        throw new CancellationException("the generation was interrupted");
      } catch (Throwable failure) {
        screen.leave();
        throw failure;
      }
      screen.finish(result);
      return result;
    }
  }

  @Override
  public void onStep(StepEvent event) {
    event.commits().forEach(this::take);
    long now = System.nanoTime();
    boolean last = canvas.committed(answerIds) == answerIds.length;
    if (now < nextFrameNanos && !last) {
      return;
    }
    nextFrameNanos = now + FRAME_NANOS;
    draw(window(TextLines.wrap(canvas.text(answerIds), size.columns())));
    if (showProgress) {
      err.print(progress(event.pass(), now - beginNanos));
      err.flush();
    }
  }

  private void take(Commit commit) {
    if (commit.position() >= answerIds.length) {
      int known = answerIds.length;
      answerIds = Arrays.copyOf(answerIds, commit.position() + 1);
      Arrays.fill(answerIds, known, answerIds.length, canvas.mask());
    }
    answerIds[commit.position()] = commit.isRevision() ? canvas.mask() : commit.token();
  }

  /// The time that is left goes by tokens: how many a pass commits may not be known before.
  private String progress(int pass, long nanos) {
    int committed = Math.max(1, canvas.committed(answerIds));
    double msPerToken = nanos / NANOS_PER_MS / committed;
    String line =
        String.format(
            Locale.ROOT,
            "step %d  tokens %d/%d  %.1f ms/step  ETA %.1f s",
            pass,
            committed,
            answerIds.length,
            nanos / NANOS_PER_MS / pass,
            msPerToken * (answerIds.length - committed) / MS_PER_SECOND);
    return line.substring(0, Math.min(line.length(), size.columns() - 1));
  }

  /// The last line stays free for the progress; the lines end soon after the last committed token.
  private List<String> window(List<String> lines) {
    int room = size.rows() - 2;
    if (lines.size() <= room) {
      return lines;
    }
    int busy = lines.size() - 1;
    while (busy > 0 && lines.get(busy).replace(Canvas.MASK, "").isBlank()) {
      busy--;
    }
    int end = Math.min(lines.size(), Math.max(room, busy + 2));
    return lines.subList(end - room, end);
  }

  private void draw(List<String> lines) {
    erase();
    for (String line : lines) {
      out.print(line + "\n");
    }
    out.flush();
    drawnLines = lines.size();
  }

  private void erase() {
    out.print(Ansi.up(drawnLines) + Ansi.CLEAR_BELOW);
    drawnLines = 0;
  }

  private void finish(GenerateResult result) {
    erase();
    out.println(Ansi.harmless(GenerateCommand.textOf(result)));
    out.flush();
    if (showProgress) {
      err.println(
          String.format(
              Locale.ROOT,
              "[%d passes, %.1f ms/step, %.2f s, %s, %s]",
              result.forwardPasses(),
              result.timing().msPerStep(),
              result.timing().totalMs() / MS_PER_SECOND,
              result.device(),
              result.dtype().name().toLowerCase(Locale.ROOT)));
      err.flush();
    }
  }

  /// Leaves the last picture and takes the progress line away.
  private void leave() {
    if (drawnLines > 0) {
      out.print("\r" + Ansi.CLEAR_BELOW);
      out.flush();
    }
  }
}
