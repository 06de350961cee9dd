package dev.remask.diffusion;

import dev.remask.kernel.SpecialTokens;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Map;
import java.util.stream.IntStream;

/// The rules of constraints: ids and positions exist, and at every mask something may be chosen.
final class ConstraintRules {
  private static final String ALLOWED = "allowed_tokens";
  private static final String BANNED = "banned_tokens";
  private static final String BIAS = "logit_bias";
  private static final String CHOICES = "choice_ids";

  private final DenoisingTask task;
  private final DiffusionOptions options;
  private final SpecialTokens tokens;
  private final Constraints constraints;

  ConstraintRules(DenoisingTask task, DiffusionOptions options, SpecialTokens tokens) {
    this.task = task;
    this.options = options;
    this.tokens = tokens;
    constraints = task.constraints();
  }

  void check() {
    if (constraints.isEmpty()) {
      return;
    }
    BitSet masked = masked();
    checkSets(ALLOWED, constraints.allowed(), masked);
    checkSets(BANNED, constraints.banned(), masked);
    for (Map.Entry<Integer, Float> bias : constraints.bias().entrySet()) {
      checkId(BIAS, bias.getKey());
      TaskRules.check(
          Float.isFinite(bias.getValue()),
          BIAS,
          "must be a finite number, got %s for id %d; banned_tokens rules an id out",
          bias.getValue(),
          bias.getKey());
    }
    masked.stream().forEach(this::checkSomethingIsLeft);
    checkChoices(masked.stream().toArray());
  }

  /// The answer's positions that are masked.
  private BitSet masked() {
    var positions = new BitSet();
    Arrays.stream(task.maskPositions()).forEach(at -> positions.set(at - task.answerBegin()));
    return positions;
  }

  private void checkSets(String field, Map<Integer, int[]> sets, BitSet masked) {
    for (Map.Entry<Integer, int[]> set : sets.entrySet()) {
      int position = set.getKey();
      TaskRules.check(
          position == Constraints.EVERYWHERE || masked.get(position),
          field,
          task.isCanvas()
              ? "must name masked positions of the canvas, got position %d"
              : "must name positions of the answer, below its length, got position %d",
          position);
      for (int id : set.getValue()) {
        checkId(field, id);
      }
    }
  }

  private void checkId(String field, int id) {
    TaskRules.check(
        id >= 0 && id < tokens.vocabulary(),
        field,
        "must hold ids of at least 0 and below vocab_size %d, got %d",
        tokens.vocabulary(),
        id);
    TaskRules.check(
        id != tokens.mask(),
        field,
        "must not hold the mask id %d, which is never chosen",
        tokens.mask());
  }

  private void checkSomethingIsLeft(int position) {
    int[] everywhere = constraints.allowed().get(Constraints.EVERYWHERE);
    int[] here = constraints.allowed().get(position);
    if (here == null && everywhere == null) {
      TaskRules.check(
          IntStream.range(0, tokens.vocabulary())
              .anyMatch(id -> id != tokens.mask() && mayStand(position, id)),
          BANNED,
          "must leave a token for every position, got none for position %d",
          position);
      return;
    }
    int[] candidates = here == null ? everywhere : here;
    TaskRules.check(
        Arrays.stream(candidates).anyMatch(id -> mayStand(position, id)),
        ALLOWED,
        "must leave a token for every position (beside banned_tokens%s), got none for position %d",
        options.suppressEos() ? " and suppress_eos" : "",
        position);
  }

  private boolean mayStand(int position, int id) {
    return !(options.suppressEos() && id == tokens.eos())
        && isIn(constraints.allowed().get(Constraints.EVERYWHERE), id, true)
        && isIn(constraints.allowed().get(position), id, true)
        && !isIn(constraints.banned().get(Constraints.EVERYWHERE), id, false)
        && !isIn(constraints.banned().get(position), id, false);
  }

  private static boolean isIn(int[] ascending, int id, boolean withoutAny) {
    return ascending == null ? withoutAny : Arrays.binarySearch(ascending, id) >= 0;
  }

  private void checkChoices(int[] masked) {
    int[][] choices = constraints.choices();
    if (choices.length == 0) {
      return;
    }
    String oneByOne = "commits one token a step, so that what is chosen stays one of them; ";
    TaskRules.check(
        !options.adaptive(),
        CHOICES,
        oneByOne + "must not be given with %s",
        options.threshold().isPresent() ? "threshold" : "factor");
    TaskRules.check(
        options.remasking() != Remasking.ORIGIN,
        CHOICES,
        oneByOne + "must not be given with remasking origin");
    TaskRules.check(
        !options.autoLength(),
        CHOICES,
        "must not be given with max_gen_length: they fix the length");
    for (int i = 0; i < choices.length; i++) {
      checkChoice(i, choices[i], masked);
    }
    DenoisingPlan plan = task.plan();
    IntStream.range(0, plan.size())
        .forEach(entry ->
            TaskRules.check(
                plan.quota(entry) == 1,
                CHOICES,
                oneByOne
                    + "needs at least a step for each mask of a block, got %d tokens in"
                    + " step %d of block %d",
                plan.quota(entry),
                plan.step(entry),
                plan.block(entry)));
  }

  private void checkChoice(int index, int[] ids, int[] masked) {
    TaskRules.check(
        ids.length == masked.length,
        CHOICES,
        "must have an id for each of the %d masks, got %d in choice %d",
        masked.length,
        ids.length,
        index);
    for (int i = 0; i < ids.length; i++) {
      if (ids[i] == Constraints.ANY) {
        continue;
      }
      checkId(CHOICES, ids[i]);
      TaskRules.check(
          mayStand(masked[i], ids[i]),
          CHOICES,
          "must be allowed by allowed_tokens, banned_tokens and suppress_eos, got id %d at position"
              + " %d in choice %d",
          ids[i],
          masked[i],
          index);
    }
  }
}
