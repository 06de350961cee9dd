package dev.remask.cli;

import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import picocli.CommandLine;
import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;

/// Puts [Settings] between the flags and the defaults written in the commands; --help shows the
/// outcome.
final class SettingDefaults implements IDefaultValueProvider {
  /// What belongs to one call and not to a set-up.
  private static final Set<String> FLAG_ONLY =
      Set.of(
          "batch", "system", "save", "json", "report", "trace_out", "help", "version", "verbose");

  /// What one request asks.
  private static final Set<String> OF_ONE_REQUEST =
      Set.of(
          "prompt_ids",
          "canvas",
          "canvas_ids",
          "negative_prompt",
          "negative_prompt_ids",
          "choices",
          "choice_ids",
          "allowed_tokens",
          "banned_tokens",
          "logit_bias",
          "answer",
          "answer_ids",
          "choice",
          "masked",
          "draws",
          "conditional",
          "greedy");

  private final Settings settings;

  SettingDefaults(Settings settings) {
    this.settings = settings;
  }

  /// The keys of every flag of all commands that may be set otherwise.
  static Set<String> keys(CommandLine commands) {
    Set<String> keys = new TreeSet<>();
    for (CommandLine command : commands.getSubcommands().values()) {
      for (OptionSpec option : command.getCommandSpec().options()) {
        keys.add(key(option));
      }
    }
    keys.removeAll(FLAG_ONLY);
    keys.removeAll(OF_ONE_REQUEST);
    return keys;
  }

  @Override
  public String defaultValue(ArgSpec argument) {
    Optional<Settings.Setting> setting = find(argument);
    if (setting.isEmpty()) {
      return null; // picocli: the default that the command itself declares
    }
    String value = setting.get().value();
    return isSwitch(argument) ? truth(value) : value;
  }

  /// Where the value of a flag that was not given comes from.
  Optional<String> origin(ArgSpec argument) {
    return find(argument).map(Settings.Setting::origin);
  }

  private Optional<Settings.Setting> find(ArgSpec argument) {
    if (!(argument instanceof OptionSpec option) || isOfOneCall(key(option))) {
      return Optional.empty();
    }
    return settings.find(key(option));
  }

  /// Whether a flag such as `--canvas` says what one request asks.
  static boolean isOfOneRequest(String flag) {
    return OF_ONE_REQUEST.contains(Settings.key(flag));
  }

  private static boolean isOfOneCall(String key) {
    return FLAG_ONLY.contains(key) || OF_ONE_REQUEST.contains(key);
  }

  private static String key(OptionSpec option) {
    return Settings.key(option.longestName());
  }

  private static boolean isSwitch(ArgSpec argument) {
    return argument.type() == boolean.class;
  }

  private static String truth(String value) {
    return switch (value.toLowerCase(Locale.ROOT)) {
      case "1", "true", "yes", "on" -> "true";
      case "0", "false", "no", "off" -> "false";
      default -> value;
    };
  }
}
