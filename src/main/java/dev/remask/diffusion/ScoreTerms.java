package dev.remask.diffusion;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;

/// The masked answers that one task asks about, and how their terms make its score. Draws that mask
/// the same positions share one term, so that a short answer costs no more than its subsets.
final class ScoreTerms {
  private final ScoreTask task;
  private final List<MaskedAnswer> terms = new ArrayList<>();

  /// Index of the term of each draw; empty for the other methods.
  private final int[] termOfDraw;

  private ScoreTerms(ScoreTask task) {
    this.task = task;
    int length = task.answerIds().length;
    termOfDraw =
        switch (task.method()) {
          case ScoreMethod.FixedMask mask -> {
            add(mask.positions());
            yield new int[0];
          }
          case ScoreMethod.MonteCarlo draws -> draw(draws, length);
          case ScoreMethod.Conditional conditional -> {
            for (int i = 0; i < length; i++) {
              int first = i;
              int count = conditional.given() == ScoreMethod.Given.LEFT ? length - i : 1;
              int[] hidden = new int[count];
              Arrays.setAll(hidden, k -> first + k);
              add(hidden);
            }
            yield new int[0];
          }
        };
  }

  static ScoreTerms of(ScoreTask task) {
    return new ScoreTerms(task);
  }

  List<MaskedAnswer> terms() {
    return terms;
  }

  /// The score; `losses` holds the terms' negative log-likelihoods, from `first` on.
  AnswerScore score(List<double[]> losses, int first) {
    int length = task.answerIds().length;
    return switch (task.method()) {
      case ScoreMethod.FixedMask mask -> {
        double[] tokens = losses.get(first);
        double sum = sum(tokens) * length / tokens.length;
        yield new AnswerScore(-sum, Double.NaN, tokens, sum);
      }
      case ScoreMethod.MonteCarlo draws -> estimate(losses, first, length);
      case ScoreMethod.Conditional conditional -> {
        double[] tokens = new double[length];
        Arrays.setAll(tokens, i -> losses.get(first + i)[0]);
        yield new AnswerScore(-sum(tokens), Double.NaN, tokens, sum(tokens));
      }
    };
  }

  private AnswerScore estimate(List<double[]> losses, int first, int length) {
    int draws = termOfDraw.length;
    double[] values = new double[draws];
    for (int i = 0; i < draws; i++) {
      double[] term = losses.get(first + termOfDraw[i]);
      values[i] = sum(term) * length / term.length;
    }
    double mean = sum(values) / draws;
    double squares = 0;
    for (double value : values) {
      squares += (value - mean) * (value - mean);
    }
    double error = draws > 1 ? Math.sqrt(squares / (draws - 1) / draws) : Double.NaN;
    // The only token can only be masked: there is no chance in it.
    return new AnswerScore(-mean, length == 1 ? 0 : error, new double[0], mean);
  }

  private int[] draw(ScoreMethod.MonteCarlo draws, int length) {
    var known = new HashMap<BitSet, Integer>();
    int[] indices = new int[draws.draws()];
    for (int i = 0; i < indices.length; i++) {
      int[] masked = MaskDraws.masked(draws.seed(), i, length);
      var set = new BitSet(length);
      for (int position : masked) {
        set.set(position);
      }
      Integer index = known.get(set);
      if (index == null) {
        index = terms.size();
        known.put(set, index);
        add(masked);
      }
      indices[i] = index;
    }
    return indices;
  }

  private void add(int[] masked) {
    terms.add(new MaskedAnswer(task.promptIds(), task.answerIds(), masked, task.cfgScale()));
  }

  private static double sum(double[] values) {
    double sum = 0;
    for (double value : values) {
      sum += value;
    }
    return sum;
  }
}
