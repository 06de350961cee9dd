package dev.remask.diffusion;

import dev.remask.kernel.SpecialTokens;
import dev.remask.testing.Philox;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/// LLaDA's sampler in plain Java and double, written from its rules alone (ML-GSAI/LLaDA,
/// generate.py; ours where the reference leaves something open), over any source of logits.
final class ReferenceSampler {
  /// Logits of one position in one step of the schedule.
  interface Logits {
    /// All columns; `unconditional`: of the copy whose prompt is masked.
    float[] of(int step, int position, boolean unconditional);
  }

  /// A position that could take `token`; a smaller key goes first.
  private record Candidate(int position, int token, double key) {}

  private final SpecialTokens tokens;
  private final DiffusionOptions options;
  private final int promptLength;
  private final Logits logits;

  ReferenceSampler(
      SpecialTokens tokens, DiffusionOptions options, int promptLength, Logits logits) {
    this.tokens = tokens;
    this.options = options;
    this.promptLength = promptLength;
    this.logits = logits;
  }

  /// Every commit, by step and then position; positions are those of the answer.
  List<Commit> run() {
    var trace = new ArrayList<Commit>();
    boolean[] committed = new boolean[options.genLength()];
    int blocks = options.genLength() / options.blockLength();
    int stepsPerBlock = options.steps().orElse(options.genLength()) / blocks;
    for (int block = 0; block < blocks; block++) {
      int masks = options.blockLength();
      for (int i = 0; i < stepsPerBlock; i++) {
        int quota = masks / stepsPerBlock + (i < masks % stepsPerBlock ? 1 : 0);
        int step = block * stepsPerBlock + i;
        commit(trace, committed, block * masks, step, quota);
      }
    }
    return trace;
  }

  private void commit(
      List<Commit> trace, boolean[] committed, int blockBegin, int step, int quota) {
    if (quota == 0) {
      return;
    }
    var candidates = new ArrayList<Candidate>();
    for (int i = blockBegin; i < blockBegin + options.blockLength(); i++) {
      if (!committed[i]) {
        candidates.add(candidate(step, i));
      }
    }
    candidates.removeIf(candidate -> candidate.token < 0);
    candidates.sort(
        Comparator.comparingDouble(Candidate::key).thenComparingInt(Candidate::position));
    candidates.stream()
        .limit(quota)
        .sorted(Comparator.comparingInt(Candidate::position))
        .forEach(c -> {
          committed[c.position] = true;
          trace.add(new Commit(step, c.position, c.token, (float) (1 / (1 + c.key))));
        });
  }

  private Candidate candidate(int step, int answerPosition) {
    int position = promptLength + answerPosition;
    double[] row = row(step, position);
    int chosen = -1;
    for (int id = 0; id < tokens.vocabulary(); id++) {
      if (id != tokens.mask() && (chosen < 0 ? row[id] == row[id] : row[id] > row[chosen])) {
        chosen = id;
      }
    }
    if (chosen < 0) {
      return new Candidate(answerPosition, -1, 0);
    }
    return new Candidate(answerPosition, chosen, key(step, position, row, chosen));
  }

  /// The odds of being wrong, (1 - p) / p, without forming p.
  private double key(int step, int position, double[] row, int chosen) {
    boolean ends = chosen == tokens.eos() || chosen == tokens.eot();
    if (options.deferEos() && ends) {
      return Double.POSITIVE_INFINITY;
    }
    if (options.remasking() == Remasking.RANDOM) {
      double u = Philox.uniform(options.seed(), step, position);
      return (1 - u) / u;
    }
    double others = 0;
    for (int id = 0; id < row.length; id++) {
      boolean left = options.deferEos() && (id == tokens.eos() || id == tokens.eot());
      if (id != chosen && !left) {
        others += Math.exp(row[id] - row[chosen]);
      }
    }
    return others;
  }

  private double[] row(int step, int position) {
    float[] conditional = logits.of(step, position, false);
    double[] row = new double[conditional.length];
    for (int id = 0; id < row.length; id++) {
      row[id] = conditional[id];
    }
    if (options.guided()) {
      float[] unconditional = logits.of(step, position, true);
      for (int id = 0; id < row.length; id++) {
        row[id] = unconditional[id] + (options.cfgScale() + 1) * (row[id] - unconditional[id]);
      }
    }
    if (options.suppressEos()) {
      row[tokens.eos()] = Double.NEGATIVE_INFINITY;
    }
    return row;
  }
}
