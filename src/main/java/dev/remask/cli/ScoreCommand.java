package dev.remask.cli;

import dev.remask.Model;
import dev.remask.ScoreRequest;
import dev.remask.diffusion.ScoreMethod;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `remask score`: how likely an answer is, or which choice is likeliest; one, or a file of them.
@Command(
    name = "score",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    sortOptions = false,
    abbreviateSynopsis = true,
    description = {
      "Tells how likely an answer to a prompt is, or which of several choices is likeliest.",
      "",
      "Positions of the answer are masked, and what the model gives for the tokens that stood there"
          + " makes the score. Logarithms are natural."
    },
    footerHeading = "%nWhat is masked:%n",
    footer = {
      "  --draws N        N times a random part of the answer (the default, 128): an",
      "                   estimate of the bound the model was trained on, with its",
      "                   standard error. Equal seeds mask equal lengths alike.",
      "  --masked 0,2     just these positions, all at once: exact, one pass",
      "  --conditional others   each token alone, given all others (pseudo-likelihood)",
      "  --conditional left     each token given those before it: by the chain rule",
      "",
      "Examples:",
      "  remask score \"What is 47 + 38?\" --answer \"47 + 38 = 85\"",
      "  remask score \"Sort: 3 1 2\" --choice \"1 2 3\" --choice \"3 2 1\"",
      "  remask score --prompt-ids 1,2,3 --answer-ids 4,5,6 --masked 0,2 --format json",
      "  remask score --batch requests.jsonl --dtype f32 > scores.jsonl",
      "",
      "Lines of a batch, and what they give:",
      "  {\"prompt_ids\":[1,2],\"answer_ids\":[3,4],\"masked\":[0]}",
      "      {\"negative_log_likelihoods\":[0.7],\"weighted_sum\":1.4}",
      "  {\"prompt_ids\":[1,2],\"answer_ids\":[3,4],\"draws\":64,\"seed\":1}",
      "      {\"log_likelihood\":-1.5,\"standard_error\":0.1}",
      "  {\"prompt\":\"2 + 2?\",\"answer\":\"4\",\"conditional\":\"left\"}",
      "      {\"negative_log_likelihoods\":[0.1],\"log_likelihood\":-0.1}",
      "  {\"prompt\":\"2 + 2?\",\"choices\":[\"4\",\"5\"],\"draws\":8}",
      "      {\"choices\":[{\"log_likelihood\":-0.1,…},…],\"best\":0,\"best_per_token\":0}",
      "  besides: messages, raw, choice_ids, cfg_scale, greedy (adds is_greedy), id",
      "  (repeated in the result)",
      "",
      "Exit status: 0 done, 1 some line of a batch failed, 2 usage or a bad request,",
      "3 device or model error."
    })
final class ScoreCommand implements Callable<Integer> {
  private final Surroundings surroundings;

  @Spec private CommandSpec spec;

  @Parameters(
      index = "0",
      arity = "0..1",
      paramLabel = "PROMPT",
      description =
          "What the answer answers; goes through the model's chat template where it has one. -"
              + " reads it from standard input.")
  private String prompt;

  @Option(
      names = "--raw",
      negatable = true,
      fallbackValue = "true",
      defaultValue = "false",
      description =
          "Take PROMPT as it is: no chat template, and special tokens written in it count."
              + " (default: ${DEFAULT-VALUE})")
  private boolean raw;

  @Option(
      names = "--prompt-ids",
      paramLabel = "1,2,3",
      description = "The prompt as token ids; needs no tokenizer.")
  private String promptIds;

  @Option(names = "--answer", paramLabel = "TEXT", description = "The answer to score.")
  private String answer;

  @Option(
      names = "--answer-ids",
      paramLabel = "4,5,6",
      description = "The answer as token ids; needs no tokenizer.")
  private String answerIds;

  @Option(
      names = "--choice",
      paramLabel = "TEXT",
      description = "An answer to choose among; give it once for each.")
  private List<String> choices;

  @Option(
      names = "--masked",
      paramLabel = "0,2",
      description = "Mask these positions of the answer, counted from 0.")
  private String masked;

  @Option(
      names = "--draws",
      paramLabel = "N",
      description = "Estimate by N random masks. (default: 128)")
  private Integer draws;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of the draws. (default: ${DEFAULT-VALUE})")
  private long seed;

  @Option(
      names = "--conditional",
      paramLabel = "GIVEN",
      description = "Score every token given the others, or those to its left: others or left.")
  private ScoreMethod.Given conditional;

  @Option(
      names = "--cfg-scale",
      paramLabel = "W",
      defaultValue = "0",
      description =
          "Classifier-free guidance: how strongly the prompt pulls; 0 is off, anything more doubles"
              + " the work. (default: ${DEFAULT-VALUE})")
  private double cfgScale;

  @Option(
      names = "--greedy",
      description =
          "Also tell whether the model itself would give the answer, a token a step: as many more"
              + " passes as the answer has tokens.")
  private boolean greedy;

  @Option(
      names = "--batch",
      paramLabel = "FILE",
      description =
          "A file of requests, one JSON object a line (- is standard input); the results are"
              + " written as JSON in the same order. --draws, --seed, --cfg-scale, --raw and"
              + " --greedy hold for lines that do not say otherwise.")
  private String batch;

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      defaultValue = "text",
      description = "text or json. (default: ${DEFAULT-VALUE})")
  private OutputFormat format;

  @Mixin private CommonOptions common;

  ScoreCommand(Surroundings surroundings) {
    this.surroundings = surroundings;
  }

  @Override
  public Integer call() throws IOException {
    requireOne("PROMPT, --prompt-ids and --batch", prompt, promptIds, batch);
    if (batch != null) {
      refuseWithBatch();
      var defaults = new ScoreLine(draws, seed, cfgScale, raw, greedy);
      try (BufferedReader lines = BatchRun.open(batch, surroundings);
          Model model = common.load(surroundings)) {
        return new ScoreBatch(model, defaults, surroundings.out()).run(lines);
      }
    }
    requireOne("--answer, --answer-ids and --choice", answer, answerIds, choices);
    ScoreRequest request = request();
    try (Model model = common.load(surroundings)) {
      if (format == OutputFormat.JSON) {
        surroundings.out().println(model.score(request).toJson());
      } else {
        new ScoreText(model, surroundings.out()).write(request, model.score(request));
      }
    }
    return ExitStatus.DONE;
  }

  private ScoreRequest request() throws IOException {
    var request = ScoreRequest.builder().cfgScale(cfgScale).greedy(greedy);
    if (promptIds != null) {
      request.promptIds(integers("--prompt-ids", promptIds));
    } else {
      request.prompt(prompt.equals("-") ? standardInput() : prompt).raw(raw);
    }
    if (answer != null) {
      request.answer(answer);
    } else if (answerIds != null) {
      request.answerIds(integers("--answer-ids", answerIds));
    } else {
      request.choices(choices);
    }
    if (masked != null) {
      request.masked(integers("--masked", masked));
    }
    if (conditional != null) {
      request.conditional(conditional);
    }
    if (draws != null) {
      request.draws(draws);
    }
    // A seed may come from the settings, so it does not ask for draws.
    return masked == null && conditional == null ? request.seed(seed).build() : request.build();
  }

  private String standardInput() throws IOException {
    return new String(surroundings.in().readAllBytes(), StandardCharsets.UTF_8);
  }

  private void requireOne(String names, Object... values) {
    long given = Arrays.stream(values).filter(Objects::nonNull).count();
    if (given != 1) {
      throw new ParameterException(spec.commandLine(), "Give one of " + names + "; got " + given);
    }
  }

  private void refuseWithBatch() {
    if (Stream.of(answer, answerIds, choices, masked, conditional).anyMatch(Objects::nonNull)) {
      throw new ParameterException(
          spec.commandLine(),
          "--answer, --answer-ids, --choice, --masked and --conditional stand in the lines of a"
              + " batch");
    }
  }

  private int[] integers(String option, String list) {
    if (list.isBlank()) {
      return new int[0];
    }
    try {
      return Arrays.stream(list.split(",", -1))
          .map(String::strip)
          .mapToInt(Integer::parseInt)
          .toArray();
    } catch (NumberFormatException e) {
      throw new ParameterException(
          spec.commandLine(),
          "Invalid value for option '"
              + option
              + "': must be whole numbers with commas between, got "
              + list);
    }
  }
}
