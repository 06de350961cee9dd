package dev.remask.diffusion;

import dev.remask.kernel.SpecialTokens;
import dev.remask.model.ModelException;
import java.util.ArrayList;
import java.util.Arrays;

/// Makes answers of what a slot came to.
final class Answers {
  private final SpecialTokens tokens;

  Answers(SpecialTokens tokens) {
    this.tokens = tokens;
  }

  /// The answer of a slot that is FILLED or STOPPED; the trace holds what `events` hold.
  Denoised of(Slot slot, StepEvents events, int[] canvas, long nanos) {
    var trace = new ArrayList<Commit>();
    for (int i = 0; i < events.size(); i++) {
      trace.addAll(events.get(i).commits());
    }
    int passes = slot.progress().passes();
    return new Denoised(
        canvas,
        outputIds(slot.request.canvas(), canvas, slot.request.options().earlyStop(), tokens),
        slot.guided() ? 2 * passes : passes,
        trace,
        passes,
        nanos);
  }

  /// The ids at the masks of `asked`, which may be longer than what became of it; with `earlyStop`
  /// up to the first EOS, if there is one.
  static int[] outputIds(int[] asked, int[] canvas, boolean earlyStop, SpecialTokens tokens) {
    var ids = new int[canvas.length];
    int count = 0;
    boolean ended = false;
    for (int at = 0; at < canvas.length && !ended; at++) {
      if (asked[at] == tokens.mask()) {
        ids[count++] = canvas[at];
        ended = earlyStop && canvas[at] == tokens.eos();
      }
    }
    return Arrays.copyOf(ids, count);
  }

  /// The failure of a slot that is STUCK.
  static ModelException stuck(Slot slot) {
    int entry = slot.progress().cursor() - slot.begin;
    return new ModelException(
        "no token could be chosen in block "
            + slot.request.plan().block(entry)
            + ", step "
            + slot.request.plan().step(entry)
            + ": every logit there is NaN or of an id that must not be chosen; check the model's"
            + " weights, and cfg_scale if it is large");
  }
}
