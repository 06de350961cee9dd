package dev.remask.results;

import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.results.format.ResultFormatType;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.format.OutputFormat;
import org.openjdk.jmh.runner.format.OutputFormatFactory;
import org.openjdk.jmh.runner.options.CommandLineOptionException;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.Options;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;
import tools.jackson.databind.json.JsonMapper;

/// `jmh/run`: runs benchmarks in rounds, writes JSON and markdown.
///
/// A round is one fork of every benchmark chosen. Rounds follow one another, so that the forks of
/// one benchmark lie minutes apart: what drifts on a shared machine, and what a JVM decides once,
/// shows as spread between rounds, which [Compare] goes by.
public final class Run {
  private static final String USAGE =
      """
      usage: jmh/run [--quick] [--rounds N] [--out FILE] [JMH options] [REGEXP …]
        REGEXP      benchmarks whose name matches (default: all)
        --rounds N  forks of each, in N passes over all of them (default 3; quick: 1)
        --quick     few shapes, short iterations: all of it in minutes, to see that it works
        --out FILE  results in FILE.json and FILE.md (default target/jmh/DATE)
        --baselines FILE.json  shows the baselines stored in FILE in the report, as stored
      JMH options: -p name=value,… sets parameters (device, dtype, rows, …), -lp lists them, -h all.\
      """;

  private static final DateTimeFormatter NAME = DateTimeFormatter.ofPattern("yyyy-MM-dd-HHmmss");
  private static final int ROUNDS = 3;

  /// The property by which the commands of jmh/ say where they lie.
  private static final String ROOT = "remask.jmh.root";

  /// Always among those run: what the machine can do tells two machines, or hours, apart.
  private static final String MACHINE = "dev.remask.measure.MachineBenchmark";

  /// Shapes of a quick run; each benchmark takes those of its own parameters.
  private static final List<List<String>> QUICK =
      List.of(
          List.of("dtype", "BF16"),
          List.of("arguments", "1", "16"),
          List.of("product", "qkv", "down"),
          List.of("gemmRows", "1", "64"),
          List.of("layout", "AUTO"),
          List.of("attention", "1x512", "32on1024"),
          List.of("selectRows", "1", "32"),
          List.of("rows", "64"),
          List.of("text", "QUESTION"),
          List.of("file", "64"),
          List.of("shape", "46x32"));

  private boolean quick;
  private int rounds;
  private Path out;
  private Path stored;
  private final List<String> jmh = new ArrayList<>();

  private Run() {}

  /// Exit status 0, or 1 if a benchmark failed, 2 for usage.
  public static void main(String[] args) {
    var run = new Run();
    try {
      run.read(args);
    } catch (IllegalArgumentException e) {
      System.err.println("jmh/run: " + e.getMessage() + "\n" + USAGE);
      System.exit(2);
    }
    try {
      run.run();
    } catch (CommandLineOptionException | RunnerException | IllegalArgumentException e) {
      System.err.println("jmh/run: " + e.getMessage());
      System.exit(1);
    } catch (IOException e) {
      System.err.println("jmh/run: a file cannot be read or written: " + e);
      System.exit(1);
    }
  }

  private void read(String[] args) {
    for (int i = 0; i < args.length; i++) {
      switch (args[i]) {
        case "--quick" -> quick = true;
        case "--rounds" -> rounds = Integer.parseInt(value(args, ++i));
        case "--out" -> out = Path.of(value(args, ++i).replaceFirst("\\.(json|md)$", ""));
        case "--baselines" -> stored = Path.of(value(args, ++i));
        case "--help" -> throw new IllegalArgumentException("help");
        default -> jmh.add(args[i]);
      }
    }
    if (rounds == 0) {
      rounds = quick ? 1 : ROUNDS;
    }
    if (rounds < 1) {
      throw new IllegalArgumentException("--rounds must be 1 or more");
    }
    if (out == null) {
      out = root().resolve("target/jmh").resolve(NAME.format(ZonedDateTime.now()));
    }
  }

  private static String value(String[] args, int index) {
    if (index >= args.length) {
      throw new IllegalArgumentException(args[index - 1] + " wants a value");
    }
    return args[index];
  }

  private void run() throws IOException, CommandLineOptionException, RunnerException {
    var given = new CommandLineOptions(jmh.toArray(String[]::new));
    if (given.shouldHelp()) {
      System.out.println(USAGE);
      given.showHelp();
      return;
    }
    if (given.shouldList() || given.shouldListWithParams()) {
      var runner = new Runner(given);
      if (given.shouldListWithParams()) {
        runner.listWithParams(given);
      } else {
        runner.list();
      }
      return;
    }
    // What is wrong with files is told before anything is measured.
    List<Results.Baseline> baselines =
        stored == null ? List.of() : Results.read(stored).baselines();
    Files.createDirectories(out.toAbsolutePath().getParent());
    var results = new Results(Surroundings.describe());
    results.baselines().addAll(baselines);
    var allFailed = new TreeSet<String>();
    for (int round = 1; round <= rounds; round++) {
      System.err.printf("jmh/run: round %d of %d%n", round, rounds);
      Path file = Files.createTempFile("remask-jmh", ".json");
      var builder = new OptionsBuilder().parent(given).forks(1).resultFormat(ResultFormatType.JSON);
      builder.result(file.toString());
      if (!given.getIncludes().isEmpty()) {
        builder.include(MACHINE);
        given.getIncludes().forEach(builder::include);
      }
      if (quick) {
        shorten(builder, given);
      }
      builder.shouldFailOnError(false);
      String date = ZonedDateTime.now().truncatedTo(ChronoUnit.SECONDS).toString();
      double load = Surroundings.load();
      Surroundings.Ticks before = Surroundings.Ticks.now();
      Set<String> failed = failedOf(builder.build());
      double stolen = Surroundings.Ticks.now().stolenSince(before);
      results.addRound(
          new Results.Round(date, load, stolen),
          JsonMapper.shared().readTree(Files.readString(file)));
      Files.delete(file);
      write(results); // a run that is ended keeps its rounds
      allFailed.addAll(failed);
    }
    System.err.printf("jmh/run: %s.json and %s.md%n", out, out);
    if (!allFailed.isEmpty()) {
      throw new RunnerException("these failed and are missing: " + String.join("; ", allFailed));
    }
  }

  /// Runs what JMH is told, and returns those that brought no result: JMH goes on with the others,
  /// and its results just lack them.
  private static Set<String> failedOf(Options options) throws RunnerException {
    Set<String> started = new TreeSet<>();
    OutputFormat shown =
        OutputFormatFactory.createFormatInstance(
            System.out, options.verbosity().orElse(VerboseMode.NORMAL));
    var counting =
        (OutputFormat)
            Proxy.newProxyInstance(
                Run.class.getClassLoader(),
                new Class<?>[] {OutputFormat.class},
                (proxy, method, arguments) -> {
                  if (method.getName().equals("startBenchmark")) {
                    started.add(((BenchmarkParams) arguments[0]).id());
                  }
                  return method.invoke(shown, arguments);
                });
    for (RunResult result : new Runner(options, counting).run()) {
      started.remove(result.getParams().id());
    }
    return started;
  }

  private void shorten(
      org.openjdk.jmh.runner.options.ChainedOptionsBuilder builder, CommandLineOptions given) {
    if (!given.getWarmupIterations().hasValue()) {
      builder.warmupIterations(1);
    }
    if (!given.getMeasurementIterations().hasValue()) {
      builder.measurementIterations(3);
    }
    if (!given.getWarmupTime().hasValue()) {
      builder.warmupTime(TimeValue.milliseconds(200));
    }
    if (!given.getMeasurementTime().hasValue()) {
      builder.measurementTime(TimeValue.milliseconds(200));
    }
    for (List<String> parameter : QUICK) {
      if (!given.getParameter(parameter.getFirst()).hasValue()) {
        String[] values = parameter.subList(1, parameter.size()).toArray(String[]::new);
        builder.param(parameter.getFirst(), values);
      }
    }
  }

  private void write(Results results) throws IOException {
    results.write(Path.of(out + ".json"));
    Files.writeString(Path.of(out + ".md"), Report.text(results));
  }

  /// The project's folder.
  public static Path root() {
    return Path.of(System.getProperty(ROOT, ".")).toAbsolutePath().normalize();
  }

  static List<String> quickParameters() {
    return QUICK.stream().map(List::getFirst).toList();
  }
}
