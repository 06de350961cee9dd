package dev.remask;

import dev.remask.text.Message;
import dev.remask.text.MessageException;
import dev.remask.text.TextCodec;
import java.util.List;

/// Turns a request's text or conversation into prompt ids.
final class RequestText {
  private RequestText() {}

  static int[] encode(TextCodec codec, GenerateRequest request) {
    if (request.messages().isPresent()) {
      if (!codec.hasChatTemplate()) {
        throw new RequestException(
            "messages", "messages needs a model with a chat template, got one without; use prompt");
      }
      return encodeChat(codec, "messages", request.messages().get());
    }
    String prompt = request.prompt().orElseThrow();
    if (request.raw()) {
      return codec.encodeRaw(prompt);
    }
    return codec.hasChatTemplate()
        ? encodeChat(codec, "prompt", List.of(new Message("user", prompt)))
        : codec.encode(prompt);
  }

  private static int[] encodeChat(TextCodec codec, String field, List<Message> messages) {
    try {
      return codec.encodeChat(messages);
    } catch (MessageException e) {
      throw new RequestException(field, field + ": " + e.getMessage());
    }
  }
}
