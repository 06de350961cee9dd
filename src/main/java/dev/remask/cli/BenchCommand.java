package dev.remask.cli;

import dev.remask.LoadOptions;
import dev.remask.bench.Bench;
import dev.remask.bench.BenchHtml;
import dev.remask.bench.BenchJson;
import dev.remask.bench.BenchPlan;
import dev.remask.bench.BenchResult;
import dev.remask.bench.BenchText;
import dev.remask.bench.Decoding;
import dev.remask.bench.MemoryCheck;
import dev.remask.bench.SyntheticFiles;
import dev.remask.bench.SyntheticModel;
import dev.remask.support.CacheFolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// `remask bench`: how fast a model is here.
@Command(
    name = "bench",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    sortOptions = false,
    abbreviateSynopsis = true,
    description = {
      "Times a model as its users run it: load and first step, a step by canvas length and batch,"
          + " whole answers, memory, and a step kernel by kernel.",
      "",
      "Everything is measured in turns and told as the median of several rounds; a first run takes"
          + " about a minute on a laptop. Leave the machine alone meanwhile."
    },
    footerHeading = "%nWhat the figures say:%n",
    footer = {
      "  A step is one pass of the model over the canvas (prompt and answer): an answer",
      "  takes steps x the time of a step. Where a step of 8 canvases takes less than 8",
      "  times that of one, requests that come together are cheaper; where the time",
      "  grows with the tokens from the first one on, arithmetic is the limit, where it",
      "  hardly does, reading the weights is. The kernels say where a step goes: the",
      "  GFLOP/s beside the products are what they reach of the device's peak.",
      "",
      "  ± is half of what lies between the quartiles: the middle half of the samples",
      "  is that close to the median. Two figures that differ by less are equal.",
      "",
      "Decodings:",
      "  gen:block:steps[:rule[:cache]], named as the flags of remask generate.",
      "  64:32:32            64 tokens in blocks of 32, 32 steps: two tokens a step",
      "  64:64:16:entropy    one block, four tokens a step, by the entropy",
      "  128:32:t0.9::dual   as many steps as a threshold of 0.9 takes, cached",
      "  64:32:f1            the same by the factor 1",
      "",
      "Settings:",
      "  A flag goes before its variable (--lengths: REMASK_LENGTHS), that before",
      "  ./remask.properties (lengths=64,128), that before the same file in",
      "  ~/.config/remask, that before the default.",
      "",
      "Examples:",
      "  remask bench",
      "  remask bench --model DIR --report bench.html --trace-out trace.json",
      "  remask bench --lengths 128,512,1024,2000 --batches 1 --decodings none",
      "  remask bench --decodings 128:32:128,128:32:32,128:32:t0.9::dual --lengths none",
      "  remask bench --synthetic llada-8b --device cuda",
      "  remask bench --synthetic llada-8b:2 --seconds 300",
      "  remask bench --layers 8 --d-model 1024 --format json",
      "  remask bench --layers 8 --d-model 1024 --save DIR   (writes it, no more)",
      "",
      "The trace is for https://ui.perfetto.dev or chrome://tracing; docs/bench.md",
      "tells how each figure is measured. Exit status as for remask generate."
    })
final class BenchCommand implements Callable<Integer> {
  private static final String NONE = "none";

  private final Surroundings surroundings;

  @Spec private CommandSpec spec;

  @Option(
      names = "--lengths",
      paramLabel = "N,…",
      split = ",",
      hideParamSyntax = true,
      defaultValue = "64,128,256,512",
      description =
          "Canvases whose steps are timed, in tokens; none: no steps. (default: ${DEFAULT-VALUE})")
  private List<String> lengths;

  @Option(
      names = "--batches",
      paramLabel = "N,…",
      split = ",",
      hideParamSyntax = true,
      defaultValue = "1,4,8",
      description = "How many of them share a step. (default: ${DEFAULT-VALUE})")
  private List<String> batches;

  @Option(
      names = "--block-length",
      paramLabel = "N",
      defaultValue = "32",
      description =
          "Masked positions of each, at most half of it: the rows of logits of a step."
              + " (default: ${DEFAULT-VALUE})")
  private int blockLength;

  @Option(
      names = "--steps-per-sample",
      paramLabel = "N",
      defaultValue = "8",
      description = "Steps whose mean is one sample. (default: ${DEFAULT-VALUE})")
  private int steps;

  @Option(
      names = "--decodings",
      paramLabel = "D,…",
      split = ",",
      hideParamSyntax = true,
      defaultValue =
          "64:32:64,64:32:32,64:32:16,64:32:32:entropy,64:32:32::prefix,64:32:32::dual,64:32:t0.9",
      description =
          "Answers that are timed as a whole, see below; none: no answers."
              + " (default: ${DEFAULT-VALUE})")
  private List<String> decodings;

  @Option(
      names = "--prompt-length",
      paramLabel = "N",
      defaultValue = "64",
      description = "Tokens before each of these answers. (default: ${DEFAULT-VALUE})")
  private int promptLength;

  @Option(
      names = "--profile-length",
      paramLabel = "N",
      defaultValue = "128",
      description = "Canvas of the step that is told kernel by kernel. (default: ${DEFAULT-VALUE})")
  private int profileLength;

  @Option(
      names = "--profile-batch",
      paramLabel = "N",
      defaultValue = "1",
      description = "How many of it share that step. (default: ${DEFAULT-VALUE})")
  private int profileBatch;

  @Option(
      names = "--repeats",
      paramLabel = "N",
      defaultValue = "5",
      description = "Rounds, that is samples of each figure. (default: ${DEFAULT-VALUE})")
  private int repeats;

  @Option(
      names = "--seconds",
      paramLabel = "S",
      defaultValue = "40",
      description =
          "Time for the rounds: fewer of them if it is over, at least one, and nothing whose one"
              + " sample would take longer. (default: ${DEFAULT-VALUE})")
  private double seconds;

  @Mixin private SyntheticOptions synthetic;

  @Option(
      names = "--save",
      paramLabel = "DIR",
      description = {
        "Write the synthetic model to DIR, a new folder, and end: config.json and bf16 safetensors"
            + " that the reference implementation loads, too."
      })
  private Path save;

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      defaultValue = "text",
      description = "text or json. (default: ${DEFAULT-VALUE})")
  private OutputFormat format;

  @Option(
      names = "--json",
      paramLabel = "FILE",
      description = "Write the figures with all their samples there, too, as JSON.")
  private Path json;

  @Option(
      names = "--report",
      paramLabel = "FILE",
      description = "Write them there, too, as an HTML page with charts that needs nothing else.")
  private Path report;

  @Option(
      names = "--trace-out",
      paramLabel = "FILE",
      description =
          "Write there what was done when, the launches of the step told kernel by kernel on host"
              + " and device included, for Perfetto or Chrome's trace viewer.")
  private Path traceOut;

  @Mixin private CommonOptions common;

  BenchCommand(Surroundings surroundings) {
    this.surroundings = surroundings;
  }

  @Override
  public Integer call() {
    Optional<SyntheticModel> described = synthetic.model();
    if (isGiven("--model")) {
      if (SyntheticOptions.SHAPE.stream().anyMatch(this::isGiven)) {
        throw usage("Give --model or a synthetic model, not both");
      }
      described = Optional.empty(); // by a setting, which a flag goes before
    }
    if (save != null) {
      save(described.orElseThrow(() -> usage("--save is for --synthetic, or a shape by flags")));
      return ExitStatus.DONE;
    }
    BenchPlan plan = plan();
    for (Path file : new Path[] {json, report, traceOut}) {
      requireWritable(file);
    }
    BenchResult result = measure(plan, described);
    write(result);
    return ExitStatus.DONE;
  }

  /// Whether a flag stands on the command line itself.
  private boolean isGiven(String flag) {
    return spec.commandLine().getParseResult().hasMatchedOption(flag);
  }

  private void save(SyntheticModel model) {
    var progress = new BenchProgress(surroundings);
    try {
      SyntheticFiles.write(model, surroundings.folder().resolve(save), progress);
    } finally {
      progress.end();
    }
  }

  private BenchPlan plan() {
    return new BenchPlan(
        numbers(lengths, "--lengths"),
        numbers(batches, "--batches"),
        blockLength,
        steps,
        promptLength,
        isNone(decodings) ? List.of() : decodings.stream().map(Decoding::parse).toList(),
        repeats,
        seconds,
        profileLength,
        profileBatch);
  }

  private static boolean isNone(List<String> list) {
    return list.equals(List.of(NONE));
  }

  private List<Integer> numbers(List<String> list, String flag) {
    try {
      return isNone(list)
          ? List.of()
          : list.stream().map(text -> Integer.parseInt(text.strip())).toList();
    } catch (NumberFormatException e) {
      throw usage(flag + " must be numbers with commas between, or none, got " + list);
    }
  }

  private BenchResult measure(BenchPlan plan, Optional<SyntheticModel> described) {
    var progress = new BenchProgress(surroundings);
    LoadOptions options = common.options();
    Map<String, String> environment = surroundings.environment();
    try {
      if (described.isEmpty()) {
        Path folder = common.folder(surroundings);
        String name = common.folder().isPresent() ? folder.toString() : "tiny-llada";
        return Bench.run(folder, name, options, plan, environment, progress);
      }
      SyntheticModel model = described.get();
      MemoryCheck.require(model, options, plan);
      Path cache = CacheFolder.of(environment).resolve("synthetic");
      progress.begins("random weights in " + cache.resolve(model.name()));
      Path folder = SyntheticFiles.cached(model, cache, progress);
      String name = "random weights, " + model.name();
      return Bench.run(folder, name, options, plan, environment, progress);
    } finally {
      progress.end();
    }
  }

  private void write(BenchResult result) {
    if (format == OutputFormat.JSON) {
      surroundings.out().println(BenchJson.of(result));
    } else {
      surroundings.out().print(BenchText.of(result));
    }
    surroundings.out().flush();
    // All of them, whatever becomes of one: measuring took its time.
    var failures = new ArrayList<String>();
    attempt(json, failures, file -> Files.writeString(file, BenchJson.of(result) + "\n"));
    attempt(report, failures, file -> BenchHtml.write(result, file));
    attempt(traceOut, failures, file -> result.trace().write(file));
    if (!failures.isEmpty()) {
      String all = String.join("\n", failures);
      throw new UncheckedIOException(all, new IOException(all));
    }
  }

  /// Writes a file's content.
  private interface Writer {
    void write(Path file) throws IOException;
  }

  private void attempt(Path fileOrNull, List<String> failures, Writer writer) {
    if (fileOrNull == null) {
      return;
    }
    try {
      writer.write(surroundings.folder().resolve(fileOrNull));
    } catch (IOException e) {
      failures.add(fileOrNull + " cannot be written: " + e.getMessage());
    } catch (UncheckedIOException e) {
      failures.add(e.getMessage());
    }
  }

  /// Better now than after a minute of measuring.
  private void requireWritable(Path fileOrNull) {
    if (fileOrNull == null) {
      return;
    }
    Path file = surroundings.folder().resolve(fileOrNull).toAbsolutePath();
    if (Files.isDirectory(file)) {
      throw usage(fileOrNull + " cannot be written: it is a folder");
    }
    if (Files.exists(file)) {
      if (!Files.isWritable(file)) {
        throw usage(fileOrNull + " cannot be written: it is there, and not to be written by you");
      }
      return;
    }
    Path folder = file.getParent();
    if (!Files.isDirectory(folder) || !Files.isWritable(folder)) {
      throw usage(fileOrNull + " cannot be written: no such folder, or not yours: " + folder);
    }
  }

  private ParameterException usage(String message) {
    return new ParameterException(spec.commandLine(), message);
  }
}
