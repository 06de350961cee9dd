package dev.remask.text;

import dev.remask.text.ChatTemplate.Piece;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// The chat template of LLaDA (which is Llama 3's), rendered without a template engine: that engine
/// takes longer to start than a short answer to compute, and may be left out of the class path.
///
/// Each turn is `<|start_header_id|>role<|end_header_id|>`, an empty line, the content without the
/// white space around it and `<|eot_id|>`; the first has the bos token before it; after the last
/// begins the assistant's.
final class HeaderTemplate {
  private static final String BOS = "bos_token";
  private static final String TURN =
      "{% set loop_messages = messages %}{% for message in loop_messages %}"
          + "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
          + " + message['content'] | trim + '<|eot_id|>' %}"
          + "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
          + "{{ content }}{% endfor %}";
  private static final String ASSISTANT =
      "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}";

  /// The sources that are known, spaces outside of quotes left out: LLaDA's ends with the
  /// assistant's turn, Llama 3's where it is asked for, which is always here.
  private static final Set<String> KNOWN =
      Set.of(
          dense(TURN + ASSISTANT),
          dense(TURN + "{% if add_generation_prompt %}" + ASSISTANT + "{% endif %}"));

  private final String bos;

  private HeaderTemplate(String bos) {
    this.bos = bos;
  }

  /// The renderer of `source`, or null if that is any other template.
  static HeaderTemplate ofOrNull(String source, Map<String, String> namedTokens) {
    String bos = namedTokens.get(BOS);
    return bos != null && KNOWN.contains(dense(source)) ? new HeaderTemplate(bos) : null;
  }

  /// The conversation up to where the assistant's turn begins.
  List<Piece> render(List<Message> messages) {
    var pieces = new ArrayList<Piece>();
    var own = new StringBuilder();
    for (int i = 0; i < messages.size(); i++) {
      Message message = messages.get(i);
      own.append(i == 0 ? bos : "");
      own.append("<|start_header_id|>").append(message.role()).append("<|end_header_id|>\n\n");
      pieces.add(new Piece(own.toString(), false));
      pieces.add(new Piece(PythonText.strip(message.content(), true, true), true));
      own.setLength(0);
      own.append("<|eot_id|>");
    }
    own.append("<|start_header_id|>assistant<|end_header_id|>\n\n");
    pieces.add(new Piece(own.toString(), false));
    return pieces;
  }

  /// Without spaces outside of quotes, a newline that is written `\n` in them taken for one.
  private static String dense(String source) {
    var dense = new StringBuilder();
    boolean quoted = false;
    for (int i = 0; i < source.length(); i++) {
      char c = source.charAt(i);
      if (c == '\'') {
        quoted = !quoted;
      }
      if (quoted && c == '\\' && i + 1 < source.length() && source.charAt(i + 1) == 'n') {
        dense.append('\n');
        i++;
      } else if (quoted || c != ' ') {
        dense.append(c);
      }
    }
    return dense.toString();
  }
}
