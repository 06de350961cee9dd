package dev.remask.diffusion;

import dev.remask.model.WorkspaceLimits;
import java.util.ArrayList;
import java.util.List;

/// Where the sequences of one batch lie in the packed pass: no padding, sequences one behind the
/// other, then the unconditional copies of the guided ones; logits rows in the same order.
final class Packing {
  /// "None" in the device's state.
  private static final int NONE = -1;

  /// One sequence of the batch.
  ///
  /// @param canvasBegin packed index of its first token
  /// @param unconditionalBegin packed index of its copy's first token, -1 without guidance
  /// @param rowBegin its first logits row
  /// @param unconditionalRowBegin its copy's first logits row, -1 without guidance
  /// @param planBegin its first entry in the batch's plan
  record Slot(
      int[] promptIds,
      DiffusionOptions options,
      DenoisingPlan plan,
      int canvasBegin,
      int unconditionalBegin,
      int rowBegin,
      int unconditionalRowBegin,
      int planBegin) {

    int length() {
      return promptIds.length + options.genLength();
    }

    int answerBegin() {
      return canvasBegin + promptIds.length;
    }

    int planEnd() {
      return planBegin + plan.size();
    }

    boolean guided() {
      return unconditionalBegin != NONE;
    }
  }

  final List<Slot> slots;

  /// Lengths of the sequences of the pass, copies included and last.
  final int[] lengths;

  /// Tokens of the pass, copies included.
  final int tokens;

  /// Selectable rows: block_length of each sequence.
  final int rows;

  /// Rows of logits: the selectable ones, then those of the copies.
  final int logitsRows;

  final int planEntries;

  /// Launches until the last sequence is done.
  final int passes;

  private Packing(List<Slot> slots, int[] lengths, int tokens, int rows, int logitsRows) {
    this.slots = slots;
    this.lengths = lengths;
    this.tokens = tokens;
    this.rows = rows;
    this.logitsRows = logitsRows;
    planEntries = slots.getLast().planEnd();
    passes = slots.stream().mapToInt(slot -> slot.plan().size()).max().orElseThrow();
  }

  /// Packs valid requests. Throws [InvalidOptionException] naming the limit if they do not fit.
  static Packing of(List<int[]> prompts, List<DiffusionOptions> options, WorkspaceLimits limits) {
    long tokens = 0;
    long rows = 0;
    long copyTokens = 0;
    long copyRows = 0;
    int copies = 0;
    for (int i = 0; i < prompts.size(); i++) {
      DiffusionOptions option = options.get(i);
      int length = prompts.get(i).length + option.genLength();
      tokens += length;
      rows += option.blockLength();
      if (option.guided()) {
        copies++;
        copyTokens += length;
        copyRows += option.blockLength();
      }
    }
    checkLimit("maxSequences", prompts.size() + (long) copies, limits.maxSequences(), "sequences");
    checkLimit("maxTokens", tokens + copyTokens, limits.maxTokens(), "tokens in one pass");
    checkLimit("maxRows", rows + copyRows, limits.maxRows(), "rows of logits in one step");
    return lay(prompts, options, copies, (int) tokens, (int) rows);
  }

  private static Packing lay(
      List<int[]> prompts, List<DiffusionOptions> options, int copies, int tokens, int rows) {
    var slots = new ArrayList<Slot>(prompts.size());
    int[] lengths = new int[prompts.size() + copies];
    int canvas = 0;
    int row = 0;
    int plan = 0;
    int copy = prompts.size();
    int copyCanvas = tokens;
    int copyRow = rows;
    for (int i = 0; i < prompts.size(); i++) {
      DiffusionOptions option = options.get(i);
      boolean guided = option.guided();
      var slot =
          new Slot(
              prompts.get(i),
              option,
              new DenoisingPlan(prompts.get(i).length, option),
              canvas,
              guided ? copyCanvas : NONE,
              row,
              guided ? copyRow : NONE,
              plan);
      slots.add(slot);
      lengths[i] = slot.length();
      canvas += slot.length();
      row += option.blockLength();
      plan += slot.plan().size();
      if (guided) {
        lengths[copy++] = slot.length();
        copyCanvas += slot.length();
        copyRow += option.blockLength();
      }
    }
    return new Packing(List.copyOf(slots), lengths, copyCanvas, rows, copyRow);
  }

  private static void checkLimit(String setting, long needed, int limit, String what) {
    if (needed > limit) {
      throw new InvalidOptionException(
          setting,
          "is too small for this request: it needs "
              + needed
              + " "
              + what
              + " (an unconditional copy for cfg_scale included), the model was loaded for "
              + limit
              + "; raise LoadOptions."
              + setting);
    }
  }
}
