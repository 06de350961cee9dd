package dev.remask;

import dev.remask.diffusion.AnswerScore;
import dev.remask.diffusion.ScoreMethod;
import java.util.List;
import java.util.Optional;

/// How likely an answer is, or how likely each choice is and which is likeliest.
///
/// @param answers one for the answer, or one for each choice in their order
/// @param asksChoice whether choices were asked about
/// @param best index of the answer with the largest log-likelihood; the first of equals
/// @param bestPerToken index of the answer with the largest log-likelihood per token
public record ScoreResult(List<Answer> answers, boolean asksChoice, int best, int bestPerToken) {
  /// One answer's score.
  ///
  /// @param answerIds its tokens; not copied
  /// @param method how it was scored
  /// @param score its likelihood
  /// @param greedy whether the model, asked for as many tokens, gives just these; empty if not
  ///   asked
  public record Answer(
      int[] answerIds, ScoreMethod method, AnswerScore score, Optional<Boolean> greedy) {}

  static ScoreResult of(List<Answer> answers, boolean asksChoice) {
    int best = 0;
    int bestPerToken = 0;
    for (int i = 1; i < answers.size(); i++) {
      if (logLikelihood(answers.get(i)) > logLikelihood(answers.get(best))) {
        best = i;
      }
      if (perToken(answers.get(i)) > perToken(answers.get(bestPerToken))) {
        bestPerToken = i;
      }
    }
    return new ScoreResult(List.copyOf(answers), asksChoice, best, bestPerToken);
  }

  /// {@return the score of the answer, or of the best choice}
  public AnswerScore score() {
    return answers.get(best).score();
  }

  /// {@return the result as a JSON object on one line} Of a fixed mask `negative_log_likelihoods`
  /// and `weighted_sum`, of draws `log_likelihood` and `standard_error` (null where there is none),
  /// of conditional scores `negative_log_likelihoods` and `log_likelihood`; `is_greedy` where asked
  /// for. With choices an array `choices` of such objects, `best` and `best_per_token`.
  public String toJson() {
    return ScoreJson.result(this);
  }

  private static double logLikelihood(Answer answer) {
    return answer.score().logLikelihood();
  }

  private static double perToken(Answer answer) {
    return answer.score().logLikelihood() / answer.answerIds().length;
  }
}
