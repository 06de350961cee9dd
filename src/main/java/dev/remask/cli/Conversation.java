package dev.remask.cli;

import dev.remask.GenerateRequest;
import dev.remask.Model;
import dev.remask.RequestException;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.text.Message;
import dev.remask.text.TextCodec;
import java.util.ArrayList;
import java.util.List;

/// A conversation that is kept as long as the model's context holds it.
final class Conversation {
  private final TextCodec codec;
  private final int maxLength;
  private final DiffusionOptions options;
  private final List<Message> beginning;
  private final List<Message> turns = new ArrayList<>();

  /// A message ready to be answered.
  ///
  /// @param message what was said
  /// @param request with the whole conversation as far as it fits
  /// @param leftOut how many earlier messages did not fit
  record Turn(Message message, GenerateRequest request, int leftOut) {}

  /// `system` begins the conversation, null for nothing.
  Conversation(Model model, String system, DiffusionOptions options) {
    codec = model.codec().orElseThrow();
    maxLength = model.config().maxSequenceLength();
    beginning = system == null ? List.of() : List.of(new Message("system", system));
    this.options = options;
  }

  /// Forgets all but the system message.
  void reset() {
    turns.clear();
  }

  /// The request for an answer to `content`; oldest turns are left out, a question with its answer,
  /// until it fits. Throws [RequestException] if the message alone does not fit.
  Turn prepare(String content) {
    var message = new Message("user", content);
    for (int leftOut = 0; ; leftOut += 2) {
      int[] ids = codec.encodeChat(messages(message, leftOut));
      if ((long) ids.length + options.maxGenLength() <= maxLength) {
        var request = GenerateRequest.builder().promptIds(ids).options(options).build();
        return new Turn(message, request, leftOut);
      }
      if (leftOut >= turns.size()) {
        throw new RequestException(
            "prompt",
            "the message has "
                + ids.length
                + " tokens; with an answer of "
                + options.maxGenLength()
                + " that exceeds max_sequence_length "
                + maxLength);
      }
    }
  }

  /// Takes a turn and its answer into the conversation, and what was left out for it out of it.
  void add(Turn turn, String answer) {
    turns.subList(0, turn.leftOut()).clear();
    turns.add(turn.message());
    turns.add(new Message("assistant", answer));
  }

  private List<Message> messages(Message last, int leftOut) {
    List<Message> messages = new ArrayList<>(beginning);
    messages.addAll(turns.subList(leftOut, turns.size()));
    messages.add(last);
    return messages;
  }
}
