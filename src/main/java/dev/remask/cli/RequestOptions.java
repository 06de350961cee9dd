package dev.remask.cli;

import dev.remask.GenerateRequest;
import dev.remask.diffusion.Constraints;
import dev.remask.diffusion.InvalidOptionException;
import java.util.List;
import java.util.function.Function;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// The flags that say what is asked beside a prompt: a canvas, and what may stand where.
final class RequestOptions {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = "--prompt-ids",
      paramLabel = "1,2,3",
      description = "The prompt as token ids; needs no tokenizer.")
  private String promptIds;

  @Option(
      names = "--canvas",
      paramLabel = "TEXT",
      description =
          "Fill the masks of a text, in place of answering a prompt: <mask> is one masked position,"
              + " <mask:4> are four; the rest stays as it is.")
  private String canvas;

  @Option(
      names = "--canvas-ids",
      paramLabel = "1,_,3",
      description = "The same by token ids; _ is a masked position. Needs no tokenizer.")
  private String canvasIds;

  @Option(
      names = "--negative-prompt",
      paramLabel = "TEXT",
      description = "What --cfg-scale leads away from, in place of no prompt at all.")
  private String negativePrompt;

  @Option(
      names = "--negative-prompt-ids",
      paramLabel = "1,2,3",
      description = "The same by token ids.")
  private String negativePromptIds;

  @Option(
      names = "--choices",
      paramLabel = "TEXT",
      description =
          "One of several texts is the answer: give the flag once for each. gen-length is that of"
              + " the longest if it is not given.")
  private List<String> choices;

  @Option(
      names = "--choice-ids",
      paramLabel = "1,_,3",
      description = "The same by token ids; _ is any token.")
  private List<String> choiceIds;

  @Option(
      names = "--allowed-tokens",
      paramLabel = "[POS:]IDS",
      description =
          "Only these token ids may be chosen: 5,6,7 everywhere, 3:5,6,7 at answer position 3; may"
              + " be given more than once.")
  private List<String> allowedTokens;

  @Option(
      names = "--banned-tokens",
      paramLabel = "[POS:]IDS",
      description = "These token ids may not be chosen, everywhere or at a position.")
  private List<String> bannedTokens;

  @Option(
      names = "--logit-bias",
      paramLabel = "ID=X,…",
      description = "Adds X to the logit of a token id: 5=1.5,7=-2.")
  private String logitBias;

  @Option(
      names = "--timeout-ms",
      paramLabel = "N",
      description = "Give up after so many milliseconds. (default: never)")
  private Long timeoutMs;

  /// How many of the kinds of prompt that have a flag are given.
  int asked() {
    return (promptIds == null ? 0 : 1) + (canvas == null ? 0 : 1) + (canvasIds == null ? 0 : 1);
  }

  /// Whether a canvas is asked to be filled.
  boolean isCanvas() {
    return canvas != null || canvasIds != null;
  }

  /// The first flag given that says what one request asks, null for none.
  String flagOfOneRequest() {
    return command.commandLine().getParseResult().matchedOptions().stream()
        .map(option -> option.longestName())
        .filter(SettingDefaults::isOfOneRequest)
        .findFirst()
        .orElse(null);
  }

  /// Puts what the flags say into a request. `raw` is for text only.
  void addTo(GenerateRequest.Builder request, boolean raw) {
    if (promptIds != null) {
      request.promptIds(parse("--prompt-ids", promptIds, IdLists::ids));
    }
    if (canvas != null) {
      request.canvas(canvas).raw(raw);
    }
    if (canvasIds != null) {
      request.canvasIds(
          parse(
              "--canvas-ids", canvasIds, list -> IdLists.idsWithOpen(list, GenerateRequest.MASK)));
    }
    if (negativePrompt != null) {
      request.negativePrompt(negativePrompt);
    }
    if (negativePromptIds != null) {
      request.negativePromptIds(parse("--negative-prompt-ids", negativePromptIds, IdLists::ids));
    }
    if (choices != null) {
      request.choices(choices);
    }
    request.constraints(constraints());
    addTimeout(request);
  }

  /// Puts the timeout into a request.
  void addTimeout(GenerateRequest.Builder request) {
    if (timeoutMs != null) {
      request.timeoutMs(timeoutMs);
    }
  }

  private Constraints constraints() {
    var constraints = Constraints.builder();
    for (String text : orEmpty(allowedTokens)) {
      IdLists.TokenSet set = parse("--allowed-tokens", text, IdLists.TokenSet::parse);
      if (set.position() == null) {
        constraints.allow(set.ids());
      } else {
        constraints.allowAt(set.position(), set.ids());
      }
    }
    for (String text : orEmpty(bannedTokens)) {
      IdLists.TokenSet set = parse("--banned-tokens", text, IdLists.TokenSet::parse);
      if (set.position() == null) {
        constraints.ban(set.ids());
      } else {
        constraints.banAt(set.position(), set.ids());
      }
    }
    if (logitBias != null) {
      parse("--logit-bias", logitBias, IdLists::numbersById).forEach(constraints::bias);
    }
    constraints.choices(
        orEmpty(choiceIds).stream()
            .map(text ->
                parse("--choice-ids", text, list -> IdLists.idsWithOpen(list, Constraints.ANY)))
            .toArray(int[][]::new));
    return constraints.build();
  }

  private static List<String> orEmpty(List<String> listOrNull) {
    return listOrNull == null ? List.of() : listOrNull;
  }

  private <T> T parse(String flag, String value, Function<String, T> parser) {
    try {
      return parser.apply(value);
    } catch (InvalidOptionException e) {
      throw e;
    } catch (IllegalArgumentException e) {
      throw new ParameterException(
          command.commandLine(),
          "Invalid value for option '" + flag + "': " + e.getMessage(),
          e,
          command.findOption(flag),
          value);
    }
  }
}
