package dev.remask;

import dev.remask.diffusion.DiffusionOptions;
import dev.remask.text.Message;
import java.util.List;
import java.util.Optional;

/// What to answer, and how. Immutable and reusable.
///
/// The prompt is exactly one of: a text, a list of messages, or token ids. Text goes through the
/// model's chat template as a user's message (where the model has a template), unless `raw`.
public final class GenerateRequest {
  private final String prompt;
  private final List<Message> messages;
  private final int[] promptIds;
  private final boolean raw;
  private final boolean trace;
  private final DiffusionOptions options;

  private GenerateRequest(Builder builder) {
    prompt = builder.prompt;
    messages = builder.messages;
    promptIds = builder.promptIds;
    raw = builder.raw;
    trace = builder.trace;
    options = builder.options;
  }

  /// A request for the answer to a text, with default options.
  public static GenerateRequest of(String prompt) {
    return builder().prompt(prompt).build();
  }

  /// An empty builder.
  public static Builder builder() {
    return new Builder();
  }

  /// The text, if the prompt is one.
  public Optional<String> prompt() {
    return Optional.ofNullable(prompt);
  }

  /// The messages, if the prompt is a conversation.
  public Optional<List<Message>> messages() {
    return Optional.ofNullable(messages);
  }

  /// A copy of the ids, if the prompt is given by ids.
  public Optional<int[]> promptIds() {
    return Optional.ofNullable(promptIds).map(int[]::clone);
  }

  /// Whether the text is encoded as it is: no chat template, special tokens recognised.
  public boolean raw() {
    return raw;
  }

  /// Whether the result tells which step committed what.
  public boolean trace() {
    return trace;
  }

  /// How the answer is denoised.
  public DiffusionOptions options() {
    return options;
  }

  /// Collects a request.
  public static final class Builder {
    private String prompt;
    private List<Message> messages;
    private int[] promptIds;
    private boolean raw;
    private boolean trace;
    private DiffusionOptions options = DiffusionOptions.defaults();

    private Builder() {}

    /// Asks by text.
    public Builder prompt(String text) {
      prompt = text;
      return this;
    }

    /// Asks by a conversation; needs a model with a chat template.
    public Builder messages(List<Message> conversation) {
      messages = List.copyOf(conversation);
      return this;
    }

    /// Asks by token ids, special ones included; none at all is legal. Needs no tokenizer.
    public Builder promptIds(int... ids) {
      promptIds = ids.clone();
      return this;
    }

    /// Leaves a text as it is: no chat template, and special tokens in it are recognised.
    public Builder raw(boolean on) {
      raw = on;
      return this;
    }

    /// Asks for the trace.
    public Builder trace(boolean on) {
      trace = on;
      return this;
    }

    /// Sets how the answer is denoised.
    public Builder options(DiffusionOptions value) {
      options = value;
      return this;
    }

    /// The request. Throws [RequestException] unless exactly one kind of prompt was given.
    public GenerateRequest build() {
      int kinds = (prompt == null ? 0 : 1) + (messages == null ? 0 : 1);
      kinds += promptIds == null ? 0 : 1;
      if (kinds != 1) {
        throw new RequestException(
            "prompt",
            "prompt, messages, prompt_ids: exactly one of them must be given, got " + kinds);
      }
      if (raw && prompt == null) {
        throw new RequestException("raw", "raw needs a prompt of text, got messages or prompt_ids");
      }
      if (options == null) {
        throw new RequestException("options", "options must not be null");
      }
      return new GenerateRequest(this);
    }
  }
}
