package dev.remask.bench;

import dev.remask.GenerateRequest;
import dev.remask.GenerateResult;
import dev.remask.Generation;
import dev.remask.LoadOptions;
import dev.remask.Model;
import dev.remask.Remask;
import dev.remask.RequestException;
import dev.remask.Session;
import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.LaunchRecorder.Launch;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.InvalidOptionException;
import dev.remask.model.ModelConfig;
import dev.remask.model.ModelException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.stream.Stream;

/// Measures a model as its users run it, through the library's API.
///
/// What is compared is measured in turns: a round takes one sample of everything, forwards and
/// backwards in turn, so that what else the machine does falls on all alike; figures are medians
/// over the rounds. Nothing else should run on the machine.
public final class Bench {
  /// Loads as quick as this are done again, for a median.
  private static final double QUICK_LOAD_MS = 3000;

  private static final int LOADS = 3;

  /// Cases that share rounds. The graphs of all must be kept: of 32, and a cache needs two.
  private static final int CASES_PER_ROUND = 15;

  private static final int PROFILE_STEPS = 10;
  private static final int PROFILE_WARM_UP = 2;
  private static final long SEED = 20_261_124;
  private static final double NANOS_PER_SECOND = 1e9;
  private static final double NANOS_PER_MS = 1e6;

  /// Told what is going on.
  public interface Listener {
    /// Nobody listens.
    Listener NONE = what -> {};

    /// Something begins.
    ///
    /// @param what it is, in a few words
    void begins(String what);
  }

  /// What is timed: takes a sample in milliseconds.
  private interface Sampling {
    double take(Session session);
  }

  /// `work`: tokens computed for a sample, by which its time can be foreseen.
  private record Case(String name, double work, Samples samples, Sampling sampling) {}

  private final Path folder;
  private final String name;
  private final LoadOptions options;
  private final BenchPlan plan;
  private final Map<String, String> environment;
  private final Listener listener;
  private final ModelConfig config;
  private final Trace trace = new Trace();
  private final List<String> notes = new ArrayList<>();
  private final Random random = new Random(SEED);
  private Context watch;
  private long freeBefore;
  private long deviceBytes;
  private double secondsPerToken;
  private int rounds = Integer.MAX_VALUE;

  private Bench(
      Path folder,
      String name,
      LoadOptions options,
      BenchPlan plan,
      Map<String, String> environment,
      Listener listener) {
    this.folder = folder;
    this.name = name;
    this.plan = plan;
    this.environment = environment;
    this.listener = listener;
    config = ModelConfig.read(folder);
    this.options = plan.limits(config, options);
    int most = Math.min(config.maxSequenceLength(), this.options.maxTokens());
    if (most < 2) {
      throw new RequestException(
          "max_tokens",
          "max_tokens and the model's max_sequence_length must be at least 2, for a token and a"
              + " masked one; the less of them is "
              + most);
    }
  }

  /// Measures the model of a folder.
  ///
  /// Throws what loading and generating throw, and `CancellationException` when the thread is
  /// interrupted.
  ///
  /// @param folder the model's folder
  /// @param name what the model is called in the result
  /// @param options device, type and limits; limits that are 0 become what the plan needs
  /// @param plan what to measure
  /// @param environment variables of the process, those of Remask to be told in the result
  /// @param listener told what is going on
  /// @return what was found out
  public static BenchResult run(
      Path folder,
      String name,
      LoadOptions options,
      BenchPlan plan,
      Map<String, String> environment,
      Listener listener) {
    return new Bench(folder, name, options, plan, environment, listener).run();
  }

  private BenchResult run() {
    noteLoad();
    // A context of our own, so that the driver can be asked before and after the model is there.
    try (Context context = Context.open(Device.open(options.device()))) {
      watch = context;
      freeBefore = context.freeBytes();
      var hostBefore = HostMemory.residentBytes();
      var loadMs = new Samples();
      var stepMs = new Samples();
      listener.begins("loading " + name);
      Model model = load();
      try {
        double firstLoad = model.loadMs();
        double firstStep = answerOfOneStep(model);
        while (firstLoad < QUICK_LOAD_MS && loadMs.count() < Math.min(LOADS, plan.repeats())) {
          model.close();
          model = load();
          loadMs.add(model.loadMs());
          stepMs.add(answerOfOneStep(model));
        }
        var load = new BenchResult.Load(firstLoad, loadMs, firstStep, stepMs);
        var steps = new ArrayList<BenchResult.StepTime>();
        var decodings = new ArrayList<BenchResult.DecodingTime>();
        measure(model, steps, decodings);
        KernelProfile profile = profile(model);
        watchMemory();
        var memory =
            new BenchResult.Memory(
                model.plannedBytes(),
                deviceBytes,
                weightFileBytes(),
                hostBefore,
                HostMemory.peakResidentBytes());
        steps.removeIf(step -> step.ms().count() == 0);
        decodings.removeIf(answer -> answer.ms().count() == 0);
        return new BenchResult(
            modelFacts(model),
            Machine.facts(model, environment),
            load,
            List.copyOf(steps),
            List.copyOf(decodings),
            memory,
            profile,
            rounds == Integer.MAX_VALUE ? 0 : rounds,
            List.copyOf(notes),
            model.device().isSoftware(),
            trace);
      } finally {
        model.close();
      }
    }
  }

  private void noteLoad() {
    double load = Machine.load();
    if (load > Machine.cores() / 2.0) {
      notes.add(
          String.format(
              Locale.ROOT,
              "the machine was busy when this began (load average %.1f on %s cores): times say"
                  + " little",
              load,
              Machine.cores()));
    }
  }

  private Model load() {
    return trace.span("load", () -> Remask.load(folder, options));
  }

  private Map<String, String> modelFacts(Model model) {
    var facts = new LinkedHashMap<String, String>();
    facts.put("model", name);
    facts.put("layers", String.valueOf(config.layers()));
    facts.put("d_model", String.valueOf(config.dModel()));
    facts.put("heads", config.heads() + " (keys and values: " + config.kvHeads() + ")");
    facts.put("ffn", String.valueOf(config.mlpHiddenSize()));
    facts.put("vocabulary", String.valueOf(config.vocabSize()));
    facts.put("dtype", model.dtype().name().toLowerCase(Locale.ROOT));
    facts.put("quantization", options.quantization().name().toLowerCase(Locale.ROOT));
    return facts;
  }

  private long weightFileBytes() {
    try (Stream<Path> files = Files.list(folder)) {
      long bytes = 0;
      for (Path file : files.filter(f -> f.toString().endsWith(".safetensors")).toList()) {
        bytes += Files.size(file);
      }
      return bytes;
    } catch (IOException e) {
      throw new ModelException(folder + ": cannot be read: " + e.getMessage(), e);
    }
  }

  /// From the request to the answer, in milliseconds.
  private double answerOfOneStep(Model model) {
    int most = Math.min(config.maxSequenceLength(), options.maxTokens());
    int masks = Math.min(options.maxRows(), plan.masks(Math.min(most, 2 * plan.blockLength())));
    return trace.span(
        "first step",
        () -> {
          long begin = System.nanoTime();
          model.generate(request(masks, DiffusionOptions.builder().genLength(masks).steps(1)));
          return (System.nanoTime() - begin) / NANOS_PER_MS;
        });
  }

  private GenerateRequest request(int promptLength, DiffusionOptions.Builder denoising) {
    return GenerateRequest.builder()
        .promptIds(prompt(promptLength))
        .options(denoising.build())
        .build();
  }

  /// Random ids without a meaning of their own.
  private int[] prompt(int length) {
    return random
        .ints(0, config.vocabSize())
        .filter(id ->
            id != config.maskTokenId()
                && id != config.eosTokenId()
                && id != config.padTokenId()
                && id != config.eotTokenId())
        .limit(length)
        .toArray();
  }

  private void measure(
      Model model, List<BenchResult.StepTime> steps, List<BenchResult.DecodingTime> decodings) {
    var cases = new ArrayList<Case>();
    for (BenchPlan.Shape shape : plan.shapes(config)) {
      if (fits(shape)) {
        var samples = new Samples();
        steps.add(new BenchResult.StepTime(shape, plan.masks(shape.length()), samples));
        cases.add(stepCase(shape, samples));
      }
    }
    var passes = new LinkedHashMap<Decoding, int[]>();
    var times = new LinkedHashMap<Decoding, Samples>();
    for (Decoding decoding : plan.decodings(config)) {
      if (!times.containsKey(decoding)) {
        passes.put(decoding, new int[1]);
        times.put(decoding, new Samples());
        cases.add(decodingCase(decoding, times.get(decoding), passes.get(decoding)));
      }
    }
    noteLeftOut();
    try (Session session = model.session()) {
      int groups = Math.ceilDiv(cases.size(), CASES_PER_ROUND);
      for (int i = 0; i < groups; i++) {
        int begin = i * cases.size() / groups;
        int end = (i + 1) * cases.size() / groups;
        List<Case> group = cases.subList(begin, end);
        takeRounds(session, group, plan.seconds() * group.size() / cases.size());
      }
    }
    if (rounds < plan.repeats()) {
      notes.add(
          "%s of %s rounds in the time given: --seconds gives more"
              .formatted(rounds, plan.repeats()));
    }
    times.forEach((decoding, samples) ->
        decodings.add(
            new BenchResult.DecodingTime(
                decoding, plan.promptLength(), passes.get(decoding)[0], samples)));
  }

  private boolean fits(BenchPlan.Shape shape) {
    boolean fits = plan.fits(shape, options);
    if (!fits) {
      notes.add(
          "left out, beyond --max-tokens, --max-rows or --max-sequences: "
              + shape.batch()
              + " x "
              + shape.length()
              + " tokens");
    }
    return fits;
  }

  private void noteLeftOut() {
    for (int length : plan.lengths()) {
      if (length > config.maxSequenceLength()) {
        notes.add(
            "left out, beyond the model's longest sequence of "
                + config.maxSequenceLength()
                + ": "
                + length
                + " tokens");
      }
    }
    for (Decoding decoding : plan.decodings()) {
      if (!plan.decodings(config).contains(decoding)) {
        notes.add("left out, beyond the model's longest sequence: " + decoding.text());
      }
    }
  }

  private Case stepCase(BenchPlan.Shape shape, Samples samples) {
    int masks = plan.masks(shape.length());
    int steps = Math.min(plan.steps(), masks);
    var requests = new ArrayList<GenerateRequest>();
    for (int i = 0; i < shape.batch(); i++) {
      requests.add(
          request(
              shape.length() - masks, DiffusionOptions.builder().genLength(masks).steps(steps)));
    }
    return new Case(
        "step of " + shape.batch() + " x " + shape.length() + " tokens",
        (double) shape.batch() * shape.length() * steps,
        samples,
        session -> {
          double sum = 0;
          for (GenerateResult result : answers(session, requests)) {
            sum += result.timing().msPerStep();
          }
          return sum / requests.size();
        });
  }

  private Case decodingCase(Decoding decoding, Samples samples, int[] passes) {
    GenerateRequest request = request(plan.promptLength(), decoding.options().toBuilder());
    return new Case(
        "answer " + decoding.text(),
        (double) (plan.promptLength() + decoding.options().genLength()) * foreseenSteps(decoding),
        samples,
        session -> {
          GenerateResult result = answers(session, List.of(request)).getFirst();
          passes[0] = result.forwardPasses();
          return result.timing().totalMs();
        });
  }

  /// Of an adaptive decoding nobody knows; some tokens a step is usual.
  private static int foreseenSteps(Decoding decoding) {
    int tokens = decoding.options().genLength();
    return decoding.options().steps().orElse(tokens / 4 + 1);
  }

  private static List<GenerateResult> answers(Session session, List<GenerateRequest> requests) {
    try {
      var results = new ArrayList<GenerateResult>();
      for (Generation generation : session.submit(requests)) {
        results.add(generation.await());
      }
      return results;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CancellationException("the measurement was interrupted");
    }
  }

  /// Warms up, then takes rounds until there are enough or the time is over, but one at least. What
  /// would take all of the time by itself, as far as those before it tell, is left out.
  private void takeRounds(Session session, List<Case> cases, double seconds) {
    var order = new ArrayList<Case>();
    for (Case one : cases) {
      double foreseen = secondsPerToken * one.work;
      if (foreseen > plan.seconds()) {
        notes.add(
            "left out, since a sample would take about %s s (--seconds, --steps-per-sample): %s"
                .formatted(Figures.number(foreseen), one.name));
        continue;
      }
      listener.begins("warm-up: " + one.name);
      // Its first step is launched kernel by kernel, its second is captured: then the graph is
      // there.
      long begin = System.nanoTime();
      try {
        trace.span("warm-up: " + one.name, () -> one.sampling.take(session));
      } catch (InvalidOptionException | RequestException e) {
        // Beyond a limit of the load, as of --max-cache-tokens: the others are measured.
        notes.add("left out, since it is refused: " + one.name + ": " + e.getMessage());
        continue;
      }
      secondsPerToken = (System.nanoTime() - begin) / NANOS_PER_SECOND / one.work;
      order.add(one);
    }
    if (order.isEmpty()) {
      return;
    }
    long begin = System.nanoTime();
    int round = 0;
    do {
      round++;
      for (Case one : order) {
        listener.begins("round " + round + " of " + plan.repeats() + ": " + one.name);
        one.samples.add(trace.span(one.name, () -> one.sampling.take(session)));
      }
      Collections.reverse(order);
      watchMemory();
      double perRound = (System.nanoTime() - begin) / NANOS_PER_SECOND / round;
      if (round < plan.repeats() && perRound * (round + 1) > seconds) {
        break;
      }
    } while (round < plan.repeats());
    rounds = Math.min(rounds, round);
  }

  private void watchMemory() {
    deviceBytes = Math.max(deviceBytes, freeBefore - watch.freeBytes());
  }

  private KernelProfile profile(Model model) {
    BenchPlan.Shape shape = plan.profile(config, options);
    listener.begins("a step of " + shape.batch() + " x " + shape.length() + " kernel by kernel");
    if (!shape.equals(plan.profile(config))) {
      notes.add(
          "smaller than asked for, by --max-tokens, --max-rows or --max-sequences, is the step kernel"
              + " by kernel: %s x %s tokens".formatted(shape.batch(), shape.length()));
    }
    int masks = Math.min(plan.masks(shape.length()), options.maxRows() / shape.batch());
    var requests = new ArrayList<GenerateRequest>();
    for (int i = 0; i < shape.batch(); i++) {
      requests.add(
          request(
              shape.length() - masks,
              DiffusionOptions.builder().genLength(masks).steps(Math.min(PROFILE_STEPS, masks))));
    }
    List<Launch> launches = trace.span("profile", () -> model.profile(requests));
    var roles = new KernelProfile.Roles(config);
    trace.add(launches, roles);
    return KernelProfile.of(shape, launches, roles, Math.min(PROFILE_WARM_UP, masks - 1));
  }
}
