package dev.remask.text;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A model's chat template, rendered by `com.hubspot.jinjava:jinjava` (an optional dependency; this
/// is the one class that touches it), or without it where [HeaderTemplate] knows the template.
///
/// Contents never enter the template engine. Each message goes in with a placeholder for its
/// content, and the placeholders in the output are where the contents belong: so nothing that a
/// content holds can be taken for template code or for a control token. What a template does to
/// white space (`content | trim`) is seen by a vertical tab put on both sides of the placeholder: a
/// tab that is gone was trimmed, and so is the content, as Python trims.
final class ChatTemplate {
  static final String COORDINATES = "com.hubspot.jinjava:jinjava";

  private static final char EDGE = '\u000b';
  private static final String PLACEHOLDER = "RemaskContentOfMessage";
  private static final Pattern PLACEHOLDERS =
      Pattern.compile("(" + EDGE + "?)" + PLACEHOLDER + "(\\d+)E(" + EDGE + "?)");

  /// Roles reach the template as they are; this keeps them from carrying anything but a name.
  private static final Pattern ROLE = Pattern.compile("[A-Za-z0-9_-]{1,64}");

  private final String source;
  private final Map<String, String> namedTokens;

  /// Null where no engine is needed. Named by a class of its own, so that the library's are loaded
  /// for templates that want them only.
  private final Engine engine;

  private final HeaderTemplate known;

  private record Engine(Jinjava jinjava) {}

  /// A piece of rendered text: written by the template, or a message's content.
  record Piece(String text, boolean isContent) {}

  private ChatTemplate(
      String source, Map<String, String> namedTokens, Engine engine, HeaderTemplate known) {
    this.source = source;
    this.namedTokens = namedTokens;
    this.engine = engine;
    this.known = known;
  }

  /// Prepares a template; `namedTokens` are its variables (`bos_token`). Throws [TextException] if
  /// the engine is wanted and not there.
  static ChatTemplate of(String source, Map<String, String> namedTokens) {
    HeaderTemplate known = HeaderTemplate.ofOrNull(source, namedTokens);
    return known != null
        ? new ChatTemplate(source, namedTokens, null, known)
        : byEngine(source, namedTokens);
  }

  /// The same, always by the engine.
  static ChatTemplate byEngine(String source, Map<String, String> namedTokens) {
    var loader = ChatTemplate.class.getClassLoader();
    if (loader.getResource("com/hubspot/jinjava/Jinjava.class") == null) {
      throw new TextException(
          "the model's chat template needs a library that is not on the class path ("
              + COORDINATES
              + "); prompts without it: raw, or prompt_ids",
          null);
    }
    // Jinja drops one newline at the end of a template's source; jinjava would drop the output's.
    String trimmed = source.endsWith("\n") ? source.substring(0, source.length() - 1) : source;
    return new ChatTemplate(trimmed, namedTokens, newEngine(), null);
  }

  private static Engine newEngine() {
    // The settings with which the transformers library renders, and Jinja's own semantics instead
    // of
    // jinjava's older ones. Output is never interpreted a second time.
    LegacyOverrides likeJinja =
        LegacyOverrides.newBuilder()
            .withEvaluateMapKeys(true)
            .withIterateOverMapKeys(true)
            .withUseNaturalOperatorPrecedence(true)
            .withParseWhitespaceControlStrictly(true)
            .withAllowAdjacentTextNodes(true)
            .withUseTrimmingForNotesAndExpressions(true)
            .withKeepNullableLoopValues(true)
            .withHandleBackslashInQuotesOnly(true)
            .build();
    var jinjava =
        new Jinjava(
            JinjavaConfig.newBuilder()
                .withTrimBlocks(true)
                .withLstripBlocks(true)
                .withKeepTrailingNewline(true)
                .withNestedInterpretationEnabled(false)
                .withLegacyOverrides(likeJinja)
                .build());
    jinjava
        .getGlobalContext()
        .registerFunction(
            new ELFunctionDefinition(
                "", "raise_exception", ChatTemplate.class, "raiseException", String.class));
    return new Engine(jinjava);
  }

  /// What templates call to refuse a conversation.
  static String raiseException(String message) {
    throw new MessageException("the model's chat template refuses the conversation: " + message);
  }

  /// Renders a conversation up to where the assistant's turn begins.
  List<Piece> render(List<Message> messages) {
    for (int i = 0; i < messages.size(); i++) {
      Message message = messages.get(i);
      if (!ROLE.matcher(message.role()).matches()) {
        throw new MessageException(
            "messages["
                + i
                + "].role must be a name of letters, digits, _ and -, got "
                + message.role());
      }
    }
    return known != null ? known.render(messages) : renderByEngine(messages);
  }

  private List<Piece> renderByEngine(List<Message> messages) {
    List<Map<String, Object>> turns = new ArrayList<>();
    for (int i = 0; i < messages.size(); i++) {
      Message message = messages.get(i);
      turns.add(Map.of("role", message.role(), "content", standIn(i, message.content())));
    }
    Map<String, Object> variables = new HashMap<>(namedTokens);
    variables.put("messages", turns);
    variables.put("add_generation_prompt", true);
    RenderResult result = engine.jinjava.renderForResult(source, variables);
    if (!result.getErrors().isEmpty()) {
      throw failure(result.getErrors().getFirst());
    }
    return split(result.getOutput(), messages);
  }

  /// A content of white space only stays as it is: templates ask whether there is any.
  private static String standIn(int message, String content) {
    return content.isBlank() ? content : EDGE + PLACEHOLDER + message + "E" + EDGE;
  }

  private static RuntimeException failure(TemplateError error) {
    for (Throwable cause = error.getException(); cause != null; cause = cause.getCause()) {
      if (cause instanceof MessageException refusal) {
        return refusal;
      }
    }
    return new TextException(
        "the model's chat template cannot be rendered: "
            + error.getMessage()
            + " (line "
            + error.getLineno()
            + ")",
        error.getException());
  }

  private static List<Piece> split(String rendered, List<Message> messages) {
    List<Piece> pieces = new ArrayList<>();
    boolean[] found = new boolean[messages.size()];
    Matcher placeholder = PLACEHOLDERS.matcher(rendered);
    int end = 0;
    while (placeholder.find()) {
      pieces.add(new Piece(rendered.substring(end, placeholder.start()), false));
      int message = Integer.parseInt(placeholder.group(2));
      boolean leftKept = !placeholder.group(1).isEmpty();
      boolean rightKept = !placeholder.group(3).isEmpty();
      String content = messages.get(message).content();
      pieces.add(new Piece(PythonText.strip(content, !leftKept, !rightKept), true));
      found[message] = true;
      end = placeholder.end();
    }
    pieces.add(new Piece(rendered.substring(end), false));
    for (int i = 0; i < found.length; i++) {
      if (!found[i] && !messages.get(i).content().isBlank()) {
        throw new MessageException(
            "messages["
                + i
                + "]: the model's chat template leaves its content out or rewrites it;"
                + " leave the message out, or give the prompt raw or by ids");
      }
    }
    return pieces;
  }
}
