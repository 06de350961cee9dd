package dev.remask.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import dev.remask.Remask;
import dev.remask.testing.Seed;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/// The template that is rendered without an engine says what the engine says.
class HeaderTemplateTest {
  private static final Map<String, String> TOKENS = Map.of("bos_token", "<|startoftext|>");

  /// As GSAI-ML/LLaDA-8B-Instruct and Llama 3 write it: newlines escaped, fewer spaces.
  private static final String LLAMA =
      "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content ="
          + " '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+"
          + " message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content ="
          + " bos_token + content %}{% endif %}{{ content }}{% endfor %}";

  private static final List<String> SOURCES =
      List.of(
          tinyLlada(),
          LLAMA + "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}",
          LLAMA
              + "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>"
              + "\\n\\n' }}{% endif %}");

  private static String tinyLlada() {
    return TextSettings.read(Remask.defaultModel()).template().orElseThrow();
  }

  private static final String[] PARTS = {
    "What is", " ", "\n", "\u00a0", "\u2003", "{{ 1 + 1 }}", "<|eot_id|>", "47", "'", "é", "\t"
  };

  @Test
  void knownTemplates_areRenderedAsTheEngineRendersThem() {
    Seed seed = Seed.fresh();
    var random = seed.random();
    for (String source : SOURCES) {
      assertNotNull(HeaderTemplate.ofOrNull(source, TOKENS), source);
      ChatTemplate engine = ChatTemplate.byEngine(source, TOKENS);
      ChatTemplate known = ChatTemplate.of(source, TOKENS);
      for (int round = 0; round < 50; round++) {
        List<Message> messages = conversation(random);
        assertEquals(
            joined(engine.render(messages)),
            joined(known.render(messages)),
            () -> seed + ": " + messages);
      }
    }
  }

  @Test
  void otherTemplates_areLeftToTheEngine() {
    String source = SOURCES.get(2);
    assertNull(HeaderTemplate.ofOrNull(source.replace("<|eot_id|>", " <|eot_id|>"), TOKENS));
    assertNull(HeaderTemplate.ofOrNull(source.replace("| trim ", ""), TOKENS));
    assertNull(HeaderTemplate.ofOrNull(source + "!", TOKENS));
    assertNull(HeaderTemplate.ofOrNull(source, Map.of()), "no bos_token");
  }

  private static List<Message> conversation(SplittableRandom random) {
    var messages = new ArrayList<Message>();
    for (int turn = 0; turn <= random.nextInt(4); turn++) {
      var content = new StringBuilder("x".repeat(random.nextInt(2)));
      for (int part = random.nextInt(5); part > 0; part--) {
        content.append(PARTS[random.nextInt(PARTS.length)]);
      }
      // What of a content of white space only is kept is the engine's taste.
      String text = content.toString().isBlank() ? "y" : content.toString();
      messages.add(new Message(turn % 2 == 0 ? "user" : "assistant", text));
    }
    return messages;
  }

  /// Each run of contents and of template text in one; borders between two of a kind mean nothing.
  private static String joined(List<ChatTemplate.Piece> pieces) {
    var joined = new StringBuilder();
    for (ChatTemplate.Piece piece : pieces) {
      if (!piece.text().isEmpty()) {
        joined.append(piece.isContent() ? "[" + piece.text() + "]" : piece.text());
      }
    }
    return joined.toString();
  }
}
