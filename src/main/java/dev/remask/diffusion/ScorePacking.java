package dev.remask.diffusion;

import dev.remask.model.WorkspaceLimits;
import java.util.ArrayList;
import java.util.List;

/// Divides masked answers among forward passes: as many into one as the limits allow, in their
/// order. An answer with more masks than a pass has rows goes through several, each with the whole
/// canvas and some of the rows.
final class ScorePacking {
  /// A part of an answer in a pass.
  ///
  /// @param answer its index
  /// @param first index of its first wanted position in `masked`
  /// @param count wanted positions
  record Part(int answer, int first, int count) {}

  private final WorkspaceLimits limits;
  private final List<List<Part>> passes = new ArrayList<>();
  private List<Part> open = new ArrayList<>();
  private int tokens;
  private int rows;
  private int sequences;

  private ScorePacking(WorkspaceLimits limits) {
    this.limits = limits;
  }

  /// The passes; every answer must fit alone, see [Likelihood#validate].
  static List<List<Part>> of(List<MaskedAnswer> answers, WorkspaceLimits limits) {
    var packing = new ScorePacking(limits);
    for (int i = 0; i < answers.size(); i++) {
      packing.add(i, answers.get(i));
    }
    packing.close();
    return packing.passes;
  }

  private void add(int index, MaskedAnswer answer) {
    int copies = answer.copies();
    int wanted = answer.masked().length;
    int first = 0;
    while (first < wanted) {
      int room = (limits.maxRows() - rows) / copies;
      boolean fits =
          tokens + (long) copies * answer.length() <= limits.maxTokens()
              && sequences + copies <= limits.maxSequences();
      // Rows are divided only where a pass of its own would not hold them.
      if (!open.isEmpty() && (!fits || room < wanted - first)) {
        close();
        continue;
      }
      int count = Math.min(room, wanted - first);
      open.add(new Part(index, first, count));
      tokens += copies * answer.length();
      rows += copies * count;
      sequences += copies;
      first += count;
    }
  }

  private void close() {
    if (!open.isEmpty()) {
      passes.add(open);
    }
    open = new ArrayList<>();
    tokens = 0;
    rows = 0;
    sequences = 0;
  }
}
