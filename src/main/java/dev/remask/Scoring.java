package dev.remask;

import dev.remask.diffusion.AnswerScore;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.InvalidOptionException;
import dev.remask.diffusion.Likelihood;
import dev.remask.diffusion.ScoreTask;
import dev.remask.text.TextCodec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/// Turns score requests into tasks of the likelihood, and its scores into results.
final class Scoring {
  private final Model model;
  private final Likelihood likelihood;
  private final RequestText text;

  Scoring(Model model, Likelihood likelihood, RequestText text) {
    this.model = model;
    this.likelihood = likelihood;
    this.text = text;
  }

  /// Scores requests together; results in their order.
  List<ScoreResult> score(List<ScoreRequest> requests) {
    var tasks = new ArrayList<ScoreTask>();
    var ends = new ArrayList<Integer>();
    for (ScoreRequest request : requests) {
      addTasks(request, tasks);
      ends.add(tasks.size());
    }
    List<AnswerScore> scores;
    try {
      scores = likelihood.score(tasks);
    } catch (InvalidOptionException e) {
      throw new RequestException(e.field(), e.getMessage());
    }
    var results = new ArrayList<ScoreResult>();
    int next = 0;
    for (int i = 0; i < requests.size(); i++) {
      var answers = new ArrayList<ScoreResult.Answer>();
      for (; next < ends.get(i); next++) {
        ScoreTask task = tasks.get(next);
        Optional<Boolean> greedy =
            requests.get(i).greedy() ? Optional.of(isGreedy(task)) : Optional.empty();
        answers.add(
            new ScoreResult.Answer(task.answerIds(), task.method(), scores.get(next), greedy));
      }
      results.add(ScoreResult.of(answers, requests.get(i).asksChoice()));
    }
    return results;
  }

  private void addTasks(ScoreRequest request, List<ScoreTask> tasks) {
    int[] prompt = text.promptIds(promptOf(request));
    for (int[] answer : answers(request)) {
      tasks.add(new ScoreTask(prompt, answer, request.method(), request.cfgScale()));
    }
  }

  /// Whether a generation of the answer's length, the surest token a step, gives the answer.
  private boolean isGreedy(ScoreTask task) {
    var options =
        DiffusionOptions.builder()
            .genLength(task.answerIds().length)
            .cfgScale(task.cfgScale())
            .build();
    var request = GenerateRequest.builder().promptIds(task.promptIds()).options(options).build();
    return Arrays.equals(task.answerIds(), model.generate(request).outputIds());
  }

  private List<int[]> answers(ScoreRequest request) {
    if (request.answerIds().isPresent()) {
      return request.answerIds().get();
    }
    TextCodec codec =
        request.asksChoice()
            ? text.tokenizer("choices", "choice_ids")
            : text.tokenizer("answer", "answer_ids");
    return request.answers().orElseThrow().stream().map(codec::encode).toList();
  }

  private static GenerateRequest promptOf(ScoreRequest request) {
    var prompt = GenerateRequest.builder();
    request.prompt().ifPresent(words -> prompt.prompt(words).raw(request.raw()));
    request.messages().ifPresent(prompt::messages);
    request.promptIds().ifPresent(prompt::promptIds);
    return prompt.build();
  }
}
