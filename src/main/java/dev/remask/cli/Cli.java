package dev.remask.cli;

import dev.remask.cuda.DeviceSpec;
import dev.remask.diffusion.CacheMode;
import dev.remask.diffusion.Remasking;
import dev.remask.diffusion.Schedule;
import dev.remask.diffusion.ScoreMethod;
import dev.remask.kernel.DType;
import dev.remask.model.Quantization;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/// The command line: parses, runs a command, and turns failures into messages and statuses.
final class Cli {
  private static final String[] NO_ARGUMENTS = {};

  private final Surroundings surroundings;
  private final Interruption interruption;

  Cli(Surroundings surroundings, Interruption interruption) {
    this.surroundings = surroundings;
    this.interruption = interruption;
  }

  @Command(
      name = "remask",
      mixinStandardHelpOptions = true,
      versionProvider = Version.class,
      description = "Runs masked diffusion language models (LLaDA) on NVIDIA GPUs and on CPUs.",
      footer = {
        "",
        "Examples:",
        "  remask generate \"What is 47 + 38?\"",
        "  remask score \"What is 47 + 38?\" --answer \"47 + 38 = 85\"",
        "  remask chat --model DIR",
        "  remask bench",
        "  remask info",
        "  remask generate --help"
      })
  static final class Root implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Override
    public Integer call() {
      throw new ParameterException(
          spec.commandLine(), "Missing command: generate, score, chat, bench or info");
    }
  }

  /// Runs the arguments and returns the exit status; throws nothing.
  int run(String... arguments) {
    int status = execute(arguments);
    // A PrintStream keeps a full disk to itself.
    if (surroundings.out().checkError() && status != ExitStatus.INTERRUPTED) {
      tell("the output could not be written in full");
      status = ExitStatus.DEVICE_OR_MODEL;
    }
    surroundings.err().flush();
    return status;
  }

  private int execute(String... arguments) {
    CommandLine commands = commands(arguments);
    try {
      Settings settings =
          Settings.read(surroundings, () -> SettingDefaults.keys(commands(NO_ARGUMENTS)));
      var defaults = new SettingDefaults(settings);
      commands.setDefaultValueProvider(defaults);
      commands.setParameterExceptionHandler((failure, args) -> refuse(failure, defaults, args));
      commands.setExecutionExceptionHandler((failure, command, parsed) -> fail(failure, arguments));
      return commands.execute(arguments);
    } catch (UsageException e) {
      return fail(e, arguments);
    }
  }

  /// Where the first argument names a command, that one; else all: picocli reads a command's
  /// annotations when it is added, some 20 ms each.
  private CommandLine commands(String... arguments) {
    var all = new LinkedHashMap<String, Supplier<Object>>();
    all.put("generate", () -> new GenerateCommand(surroundings));
    all.put("score", () -> new ScoreCommand(surroundings));
    all.put("chat", () -> new ChatCommand(surroundings, interruption));
    all.put("bench", () -> new BenchCommand(surroundings));
    all.put("info", () -> new InfoCommand(surroundings));
    CommandLine commands = new CommandLine(new Root());
    if (arguments.length > 0 && all.containsKey(arguments[0])) {
      commands.addSubcommand(all.get(arguments[0]).get());
    } else {
      all.values().forEach(command -> commands.addSubcommand(command.get()));
    }
    commands.setOut(Writers.flushing(surroundings.out()));
    commands.setErr(Writers.flushing(surroundings.err()));
    commands.setUsageHelpAutoWidth(true);
    commands.setColorScheme(CommandLine.Help.defaultColorScheme(CommandLine.Help.Ansi.OFF));
    register(commands, DeviceSpec.class, DeviceSpec::parse);
    register(commands, Remasking.class, Remasking::parse);
    register(commands, CacheMode.class, CacheMode::parse);
    register(commands, Schedule.class, Cli::schedule);
    register(commands, ScoreMethod.Given.class, text -> oneOf(ScoreMethod.Given.values(), text));
    register(commands, DType.class, text -> oneOf(DType.values(), text));
    register(commands, Quantization.class, text -> oneOf(Quantization.values(), text));
    register(commands, OutputFormat.class, text -> oneOf(OutputFormat.values(), text));
    return commands;
  }

  private static Schedule schedule(String text) {
    if (!text.contains(",")) {
      return Schedule.parse(text);
    }
    try {
      return Schedule.of(
          Arrays.stream(text.split(",", -1)).mapToDouble(Double::parseDouble).toArray());
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          "schedule must be a name, or numbers from 1 to 0 with commas between, got " + text, e);
    }
  }

  /// A converter whose own message reaches the user.
  private static <T> void register(
      CommandLine commands, Class<T> type, ITypeConverter<T> converter) {
    commands.registerConverter(
        type,
        text -> {
          try {
            return converter.convert(text);
          } catch (IllegalArgumentException e) {
            throw new TypeConversionException(e.getMessage());
          }
        });
  }

  private static <E extends Enum<E>> E oneOf(E[] values, String text) {
    for (E value : values) {
      if (value.name().equalsIgnoreCase(text)) {
        return value;
      }
    }
    String names =
        Arrays.stream(values)
            .map(value -> value.name().toLowerCase(Locale.ROOT))
            .collect(Collectors.joining(" or "));
    throw new IllegalArgumentException("must be " + names + ", got " + text);
  }

  private int refuse(ParameterException failure, SettingDefaults defaults, String[] arguments) {
    CommandLine command = failure.getCommandLine();
    var message = new StringBuilder(failure.getMessage());
    var argument = failure.getArgSpec();
    if (argument != null && failure.getValue() != null) {
      // picocli takes settings for flags that were not given: say where the value stands.
      defaults
          .origin(argument)
          .filter(origin -> !isGiven(argument, arguments))
          .ifPresent(origin -> message.append(" (set by ").append(origin).append(')'));
    }
    tell(message + "\nTry: " + command.getCommandSpec().qualifiedName() + " --help");
    trace(failure, arguments);
    return ExitStatus.USAGE;
  }

  private static boolean isGiven(CommandLine.Model.ArgSpec argument, String[] arguments) {
    return argument instanceof CommandLine.Model.OptionSpec option
        && List.of(arguments).stream()
            .anyMatch(a -> a.replaceFirst("=.*", "").equals(option.longestName()));
  }

  private int fail(Throwable failure, String[] arguments) {
    tell(ExitStatus.message(failure));
    trace(failure, arguments);
    return ExitStatus.of(failure);
  }

  private void tell(String message) {
    surroundings.err().println("remask: " + message);
  }

  private void trace(Throwable failure, String[] arguments) {
    if (surroundings.debug() || List.of(arguments).contains("--verbose")) {
      failure.printStackTrace(surroundings.err());
    }
  }
}
