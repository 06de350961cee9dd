package dev.remask.cli;

import dev.remask.GenerateRequest;
import dev.remask.GenerateResult;
import dev.remask.Model;
import dev.remask.diffusion.Commit;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `remask generate`: answers one prompt, or a file of them.
@Command(
    name = "generate",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    sortOptions = false,
    abbreviateSynopsis = true,
    description = {
      "Answers a prompt, or a file of prompts.",
      "",
      "The answer starts as gen-length masked positions. Each step runs the model once and keeps"
          + " the tokens it is most certain of, until none is masked."
    },
    footerHeading = "%nHow long, how good:%n",
    footer = {
      "  The time is steps x the time of one pass. With steps = gen-length one token",
      "  is kept a step, which is the most exact; with half the steps, two a step, in",
      "  half the time. Blocks smaller than gen-length write from left to right, block",
      "  by block, which suits long answers; within a block the order is free, which",
      "  suits lists, sums and anything with a known end.",
      "",
      "Settings:",
      "  A flag goes before its variable (--gen-length: REMASK_GEN_LENGTH), that before",
      "  ./remask.properties (gen_length=64), that before the same file in",
      "  ~/.config/remask, that before the default. The defaults shown above include",
      "  what is set. --cache alone is REMASK_CACHE_MODE: REMASK_CACHE is a folder.",
      "",
      "Examples:",
      "  remask generate \"What is 47 + 38?\"",
      "  remask generate \"Sort: 9 2 7 4 1\" --gen-length 32 --steps 8",
      "  remask generate \"Who are you?\" --format json --trace",
      "  remask generate --raw \"In the beginning\" --gen-length 64 --block-length 16",
      "  remask generate --prompt-ids 906,261,1262 --device software --dtype f32",
      "  remask generate --canvas \"The capital of <mask:2> is Paris.\"",
      "  remask generate \"Is 7 + 5 = 12?\" --choices Yes --choices No",
      "  remask generate --batch requests.jsonl > results.jsonl",
      "  remask generate --batch requests.jsonl --out results.jsonl   (resumable)",
      "  remask generate -- \"-5 + 3?\"   (a prompt that begins with a dash)",
      "",
      "Lines of a batch:",
      "  {\"prompt\": \"What is 47 + 38?\", \"options\": {\"gen_length\": 32}}",
      "  {\"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}",
      "  {\"prompt_ids\": [906, 261]}",
      "  {\"canvas\": \"The capital of <mask:2> is Paris.\"}",
      "  {\"canvas_ids\": [906, null, null, 261]}",
      "  {\"id\": \"sum-1\", \"prompt\": \"What is 1 + 1?\"}   (the result repeats the id)",
      "  Options and fields are named as the flags, with underscores; docs/options.md",
      "  tells what each does and what may stand together.",
      "",
      "Exit status: 0 done, 1 some line of a batch failed, 2 usage or a bad request,",
      "3 device or model error."
    })
final class GenerateCommand implements Callable<Integer> {
  private final Surroundings surroundings;

  @Spec private CommandSpec spec;

  @Parameters(
      index = "0",
      arity = "0..1",
      paramLabel = "PROMPT",
      description =
          "What to answer; goes through the model's chat template where it has one. - reads it from"
              + " standard input.")
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

  @Mixin private RequestOptions asking;

  @Option(
      names = "--batch",
      paramLabel = "FILE",
      description =
          "A file of requests, one JSON object a line (- is standard input), answered many at once;"
              + " the results are written as JSON in the order of the lines.")
  private String batch;

  @Option(
      names = "--out",
      paramLabel = "FILE",
      description =
          "With --batch: write the results there. If the file holds the first of them already,"
              + " from a run that was ended, the batch goes on behind them.")
  private String out;

  @Mixin private DenoisingOptions denoising;

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      defaultValue = "text",
      description = "text or json. (default: ${DEFAULT-VALUE})")
  private OutputFormat format;

  @Option(
      names = "--trace",
      negatable = true,
      fallbackValue = "true",
      defaultValue = "false",
      description =
          "Tell which step kept which token with which confidence: in the JSON, or as a table on"
              + " standard error. (default: ${DEFAULT-VALUE})")
  private boolean trace;

  @Mixin private CommonOptions common;

  GenerateCommand(Surroundings surroundings) {
    this.surroundings = surroundings;
  }

  @Override
  public Integer call() throws IOException {
    int sources = asking.asked() + (prompt == null ? 0 : 1) + (batch == null ? 0 : 1);
    if (sources != 1) {
      throw new ParameterException(
          spec.commandLine(),
          "Give one of PROMPT, --prompt-ids, --canvas, --canvas-ids and --batch; got " + sources);
    }
    if (batch != null) {
      return runBatch();
    }
    if (out != null) {
      throw new ParameterException(spec.commandLine(), "--out is for --batch");
    }
    GenerateRequest request = request();
    try (Model model = common.load(surroundings)) {
      if (format == OutputFormat.JSON) {
        GenerateResult result = model.generate(request);
        surroundings.out().println(result.toJson());
      } else {
        writeText(model, request);
      }
    }
    return ExitStatus.DONE;
  }

  private int runBatch() throws IOException {
    String flag = asking.flagOfOneRequest();
    if (flag != null) {
      throw new ParameterException(
          spec.commandLine(), flag + " is for one request: with --batch it stands in the lines");
    }
    var defaults =
        GenerateRequest.builder().options(denoising.options(false)).raw(raw).trace(trace);
    asking.addTimeout(defaults);
    try (BufferedReader lines = BatchRun.open(batch, surroundings);
        BatchOutput output = output()) {
      var progress =
          new BatchProgress(surroundings, BatchRun.count(batch, surroundings), output.results());
      try (Model model = common.load(surroundings)) {
        var parser = new BatchLine(defaults);
        return new BatchRun(model, parser, new ResultJson(), output, progress).run(lines);
      }
    }
  }

  private BatchOutput output() {
    return out == null
        ? BatchOutput.to(surroundings.out())
        : BatchOutput.continuing(surroundings.folder().resolve(out));
  }

  private GenerateRequest request() throws IOException {
    var request =
        GenerateRequest.builder().options(denoising.options(asking.isCanvas())).trace(trace);
    asking.addTo(request, raw);
    if (prompt != null) {
      String text = prompt;
      if (text.equals("-")) {
        text = new String(surroundings.in().readAllBytes(), StandardCharsets.UTF_8);
      }
      request.prompt(text).raw(raw);
    }
    return request.build();
  }

  private void writeText(Model model, GenerateRequest request) {
    GenerateResult result;
    if (surroundings.outIsTerminal()) {
      result = AnswerScreen.show(model, request, surroundings);
    } else {
      result = model.generate(request);
      surroundings.out().println(textOf(result));
    }
    if (trace) {
      writeTrace(model, result, surroundings.err());
    }
  }

  /// The answer as text; as ids, fit for --prompt-ids, where the model has no tokenizer.
  static String textOf(GenerateResult result) {
    return result
        .text()
        .orElseGet(() ->
            Arrays.stream(result.outputIds())
                .mapToObj(String::valueOf)
                .collect(Collectors.joining(",")));
  }

  private static void writeTrace(Model model, GenerateResult result, PrintStream err) {
    err.println("  step  position   token  confidence");
    for (Commit commit : result.trace()) {
      String text =
          commit.isRevision()
              ? "(masked again)"
              : model.codec().map(codec -> codec.decode(new int[] {commit.token()})).orElse("");
      err.println(
          String.format(
              Locale.ROOT,
              "%6d  %8d  %6d  %10.4f  %s",
              commit.step(),
              commit.position(),
              commit.token(),
              commit.confidence(),
              Ansi.harmless(text).replace('\n', ' ')));
    }
  }
}
