package dev.remask;

import dev.remask.diffusion.DenoisingTask;
import dev.remask.kernel.SpecialTokens;
import dev.remask.text.TextCodec;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.IntStream;

/// What a finished canvas says: the ids that were wanted, their text, why it ends.
final class Answer {
  private final DenoisingTask task;
  private final int[] canvas;
  private final int[] outputIds;
  private final SpecialTokens tokens;

  /// `canvas` is the task's after the loop: as long as the answer has become; the mask id stands
  /// where an early stop left a position open. `outputIds` are the ids at the masks, in ascending
  /// position; with early_stop they end with the first EOS.
  Answer(DenoisingTask task, int[] canvas, int[] outputIds, SpecialTokens tokens) {
    this.task = task;
    this.canvas = canvas;
    this.outputIds = outputIds;
    this.tokens = tokens;
  }

  /// What stood before the answer: the prompt, or a canvas's fixed ids before its first mask.
  int[] promptIds() {
    return task.isCanvas()
        ? Arrays.copyOf(canvas, task.maskPositions()[0])
        : Arrays.copyOf(canvas, task.answerBegin());
  }

  /// The whole canvas, [GenerateRequest#MASK] where an early stop left it open; empty for a prompt.
  Optional<int[]> canvasIds() {
    if (!task.isCanvas()) {
      return Optional.empty();
    }
    IntStream ids = Arrays.stream(canvas);
    return Optional.of(ids.map(id -> id == tokens.mask() ? GenerateRequest.MASK : id).toArray());
  }

  /// Whether an end token ends it: in a canvas, one behind the last fixed token.
  FinishReason finishReason() {
    int[] ids = outputIds;
    if (task.isCanvas()) {
      int[] masks = task.maskPositions();
      int open = masks.length;
      while (open > 0 && masks[open - 1] == canvas.length - (masks.length - open) - 1) {
        open--;
      }
      ids = Arrays.copyOfRange(ids, Math.min(open, ids.length), ids.length);
    }
    return end(ids, task.options().suppressEos(), tokens) < 0
        ? FinishReason.LENGTH
        : FinishReason.STOP;
  }

  /// The answer's text up to its first end token; a canvas's text is all of it, fixed tokens
  /// included and special ones left out. Empty without tokenizer.
  Optional<String> text(Optional<TextCodec> codec) {
    if (!task.isCanvas()) {
      boolean suppressEos = task.options().suppressEos();
      return codec.map(c -> c.decode(beforeEnd(outputIds, suppressEos, tokens)));
    }
    int[] committed = Arrays.stream(canvas).filter(id -> id != tokens.mask()).toArray();
    return codec.map(c -> c.decode(committed));
  }

  /// The ids before the first EOS or EoT. With suppress_eos an answer is to fill its length, so
  /// there EoT does not end it.
  static int[] beforeEnd(int[] ids, boolean suppressEos, SpecialTokens tokens) {
    int end = end(ids, suppressEos, tokens);
    return end < 0 ? ids : Arrays.copyOf(ids, end);
  }

  private static int end(int[] ids, boolean suppressEos, SpecialTokens tokens) {
    return firstOf(ids, tokens.eos(), suppressEos ? tokens.eos() : tokens.eot());
  }

  /// The index of the first of two ids, -1 for none. An id of -1 (the model has none) equals no
  /// answer's id.
  private static int firstOf(int[] ids, int one, int other) {
    return IntStream.range(0, ids.length)
        .filter(i -> ids[i] >= 0 && (ids[i] == one || ids[i] == other))
        .findFirst()
        .orElse(-1);
  }
}
