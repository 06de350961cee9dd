package dev.remask.cli;

import dev.remask.Model;
import dev.remask.ScoreRequest;
import dev.remask.ScoreResult;
import dev.remask.diffusion.AnswerScore;
import dev.remask.diffusion.ScoreMethod;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/// Scores for people.
final class ScoreText {
  private final Model model;
  private final PrintStream out;

  ScoreText(Model model, PrintStream out) {
    this.model = model;
    this.out = out;
  }

  void write(ScoreRequest request, ScoreResult result) {
    if (request.asksChoice()) {
      out.println("   log-likelihood  per token  choice");
      for (int i = 0; i < result.answers().size(); i++) {
        writeChoice(result, i);
      }
      return;
    }
    ScoreResult.Answer answer = result.answers().getFirst();
    if (answer.score().negativeLogLikelihoods().length > 0) {
      writeTokens(answer);
    }
    String name = answer.method() instanceof ScoreMethod.FixedMask ? "weighted" : "log-likelihood";
    out.println(
        name
            + " "
            + estimate(answer.score())
            + format(", per token %.4f", perToken(answer))
            + greedy(answer));
  }

  private void writeChoice(ScoreResult result, int index) {
    ScoreResult.Answer answer = result.answers().get(index);
    out.println(
        format(
            "%s  %s  %9.4f  %s%s",
            index == result.best() ? "*" : " ",
            estimate(answer.score()),
            perToken(answer),
            text(answer.answerIds()),
            greedy(answer)));
  }

  private void writeTokens(ScoreResult.Answer answer) {
    out.println("position   token        -ln p");
    double[] losses = answer.score().negativeLogLikelihoods();
    for (int i = 0; i < losses.length; i++) {
      int position =
          answer.method() instanceof ScoreMethod.FixedMask mask ? mask.positions()[i] : i;
      int id = answer.answerIds()[position];
      out.println(format("%8d  %6d  %11.6f  %s", position, id, losses[i], text(new int[] {id})));
    }
  }

  private static String estimate(AnswerScore score) {
    String value = format("%.4f", score.logLikelihood());
    double error = score.standardError();
    return Double.isNaN(error) ? value : value + format(" ± %.4f", error);
  }

  private static double perToken(ScoreResult.Answer answer) {
    return answer.score().logLikelihood() / answer.answerIds().length;
  }

  private static String greedy(ScoreResult.Answer answer) {
    return answer
        .greedy()
        .map(greedy -> greedy ? "  (what the model gives)" : "  (not what the model gives)")
        .orElse("");
  }

  private String text(int[] ids) {
    return model
        .codec()
        .map(codec -> Ansi.harmless(codec.decode(ids)).replace('\n', ' '))
        .orElseGet(
            () -> Arrays.stream(ids).mapToObj(String::valueOf).collect(Collectors.joining(",")));
  }

  private static String format(String pattern, Object... values) {
    return String.format(Locale.ROOT, pattern, values);
  }
}
