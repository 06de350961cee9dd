package dev.remask;

import dev.remask.diffusion.Constraints;
import dev.remask.diffusion.DenoisingTask;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.text.Message;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;

/// What to answer, and how. Immutable and reusable.
///
/// What is asked is exactly one of: a text, a conversation, the token ids of a prompt, a canvas as
/// text or as token ids. A prompt's text goes through the model's chat template as a user's message
/// (where the model has a template), unless `raw`; a canvas's never does.
///
/// Names in JSON are those of the accessors in snake case. What the model decides (ids, lengths,
/// which options stand together) is checked when the request is run.
public final class GenerateRequest {
  /// A masked position in [#canvasIds]; in JSON it is null.
  public static final int MASK = DenoisingTask.MASK;

  private final String prompt;
  private final List<Message> messages;
  private final int[] promptIds;
  private final String canvas;
  private final int[] canvasIds;
  private final String negativePrompt;
  private final int[] negativePromptIds;
  private final boolean raw;
  private final boolean trace;
  private final Long timeoutMs;
  private final List<String> choices;
  private final Constraints constraints;
  private final DiffusionOptions options;

  private GenerateRequest(Builder builder) {
    prompt = builder.prompt;
    messages = builder.messages;
    promptIds = builder.promptIds;
    canvas = builder.canvas;
    canvasIds = builder.canvasIds;
    negativePrompt = builder.negativePrompt;
    negativePromptIds = builder.negativePromptIds;
    raw = builder.raw;
    trace = builder.trace;
    timeoutMs = builder.timeoutMs;
    choices = builder.choices;
    constraints = builder.constraints;
    options = builder.options;
  }

  /// {@return a request for the answer to a text, with default options}
  ///
  /// @param prompt the text to answer
  public static GenerateRequest of(String prompt) {
    return builder().prompt(prompt).build();
  }

  /// {@return an empty builder}
  public static Builder builder() {
    return new Builder();
  }

  /// Reads a JSON object. Unknown fields, fields that stand twice and wrong types are a
  /// [RequestException] that names the field.
  ///
  /// @param json one JSON object
  /// @return the request
  public static GenerateRequest fromJson(String json) {
    return fromJson(json, builder());
  }

  /// Reads a JSON object over defaults: options, raw, trace and timeout of `defaults` hold where
  /// the object does not set them; an option that is null there has its built-in default again. A
  /// canvas ignores lengths among the defaults, and what is no text ignores raw.
  ///
  /// @param json one JSON object
  /// @param defaults what holds where the object says nothing
  /// @return the request
  public static GenerateRequest fromJson(String json, Builder defaults) {
    return RequestReader.read(json, defaults);
  }

  /// {@return the request as a JSON object on one line, which [#fromJson(String)] reads back as an
  /// equal one; what has its default is left out}
  public String toJson() {
    return RequestWriter.write(this);
  }

  /// {@return the text, if the prompt is one}
  public Optional<String> prompt() {
    return Optional.ofNullable(prompt);
  }

  /// {@return the messages, if the prompt is a conversation}
  public Optional<List<Message>> messages() {
    return Optional.ofNullable(messages);
  }

  /// {@return a copy of the ids, if the prompt is given by ids}
  public Optional<int[]> promptIds() {
    return Optional.ofNullable(promptIds).map(int[]::clone);
  }

  /// {@return the canvas's text with `<mask>` and `<mask:N>`, if it is given so}
  public Optional<String> canvas() {
    return Optional.ofNullable(canvas);
  }

  /// {@return a copy of the canvas's ids, [#MASK] where a token is wanted, if it is given so}
  public Optional<int[]> canvasIds() {
    return Optional.ofNullable(canvasIds).map(int[]::clone);
  }

  /// {@return the text that guidance leads away from, if given; encoded as a prompt is}
  public Optional<String> negativePrompt() {
    return Optional.ofNullable(negativePrompt);
  }

  /// {@return a copy of the ids that guidance leads away from, if given}
  public Optional<int[]> negativePromptIds() {
    return Optional.ofNullable(negativePromptIds).map(int[]::clone);
  }

  /// {@return whether text is encoded as it is: no chat template, special tokens recognised}
  public boolean raw() {
    return raw;
  }

  /// {@return whether the result tells which step committed what}
  public boolean trace() {
    return trace;
  }

  /// {@return milliseconds from the call after which the request fails, if bounded}
  public OptionalLong timeoutMs() {
    return timeoutMs == null ? OptionalLong.empty() : OptionalLong.of(timeoutMs);
  }

  /// {@return the texts one of which is wanted; empty: anything} Choices by ids are among
  /// [#constraints].
  public List<String> choices() {
    return choices;
  }

  /// {@return what may stand where}
  public Constraints constraints() {
    return constraints;
  }

  /// {@return how the answer is denoised}
  public DiffusionOptions options() {
    return options;
  }

  private Object[] values() {
    return new Object[] {
      prompt,
      messages,
      promptIds,
      canvas,
      canvasIds,
      negativePrompt,
      negativePromptIds,
      raw,
      trace,
      timeoutMs,
      choices,
      constraints,
      options
    };
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof GenerateRequest request
        && Arrays.deepEquals(values(), request.values());
  }

  @Override
  public int hashCode() {
    return Arrays.deepHashCode(values());
  }

  /// Its JSON.
  @Override
  public String toString() {
    return toJson();
  }

  /// Collects a request; one builder may build many times.
  public static final class Builder {
    private String prompt;
    private List<Message> messages;
    private int[] promptIds;
    private String canvas;
    private int[] canvasIds;
    private String negativePrompt;
    private int[] negativePromptIds;
    private boolean raw;
    private boolean trace;
    private Long timeoutMs;
    private List<String> choices = List.of();
    private Constraints constraints = Constraints.none();
    private DiffusionOptions options = DiffusionOptions.defaults();

    private Builder() {}

    /// A builder with the same content.
    Builder copy() {
      var copy = new Builder();
      copy.prompt = prompt;
      copy.messages = messages;
      copy.promptIds = promptIds;
      copy.canvas = canvas;
      copy.canvasIds = canvasIds;
      copy.negativePrompt = negativePrompt;
      copy.negativePromptIds = negativePromptIds;
      copy.raw = raw;
      copy.trace = trace;
      copy.timeoutMs = timeoutMs;
      copy.choices = choices;
      copy.constraints = constraints;
      copy.options = options;
      return copy;
    }

    /// The options so far.
    DiffusionOptions options() {
      return options;
    }

    /// Asks by text.
    ///
    /// @param text the text
    /// @return this builder
    public Builder prompt(String text) {
      prompt = text;
      return this;
    }

    /// Asks by a conversation; needs a model with a chat template.
    ///
    /// @param conversation its turns, in order
    /// @return this builder
    public Builder messages(List<Message> conversation) {
      messages = List.copyOf(conversation);
      return this;
    }

    /// Asks by token ids, special ones included; none at all is legal. Needs no tokenizer.
    ///
    /// @param ids token ids
    /// @return this builder
    public Builder promptIds(int... ids) {
      promptIds = ids.clone();
      return this;
    }

    /// Asks to fill a text: `"The capital of <mask:4> is Paris."` has four masked positions,
    /// `<mask>` is one; the rest is literal. The masks take the place of gen_length.
    ///
    /// @param text the text
    /// @return this builder
    public Builder canvas(String text) {
      canvas = text;
      return this;
    }

    /// Asks to fill token ids, [GenerateRequest#MASK] where a token is wanted; the masks take the
    /// place of gen_length. Needs no tokenizer.
    ///
    /// @param ids token ids
    /// @return this builder
    public Builder canvasIds(int... ids) {
      canvasIds = ids.clone();
      return this;
    }

    /// What guidance leads away from, as text; needs a cfg_scale.
    ///
    /// @param text the text
    /// @return this builder
    public Builder negativePrompt(String text) {
      negativePrompt = text;
      return this;
    }

    /// What guidance leads away from, as token ids; needs a cfg_scale.
    ///
    /// @param ids token ids
    /// @return this builder
    public Builder negativePromptIds(int... ids) {
      negativePromptIds = ids.clone();
      return this;
    }

    /// Leaves a text as it is: no chat template, and special tokens in it are recognised.
    ///
    /// @param on whether it is so
    /// @return this builder
    public Builder raw(boolean on) {
      raw = on;
      return this;
    }

    /// Asks for the trace.
    ///
    /// @param on whether it is so
    /// @return this builder
    public Builder trace(boolean on) {
      trace = on;
      return this;
    }

    /// Bounds the time from the call to the result.
    ///
    /// @param milliseconds the time from submission
    /// @return this builder
    public Builder timeoutMs(long milliseconds) {
      timeoutMs = milliseconds;
      return this;
    }

    /// Wants one of these texts. Where gen_length is not set it is that of the longest; shorter
    /// ones are filled up with EOS.
    ///
    /// @param texts the answers
    /// @return this builder
    public Builder choices(List<String> texts) {
      choices = List.copyOf(texts);
      return this;
    }

    /// Sets what may stand where. Choices by ids may be shorter than the answer, as texts may.
    ///
    /// @param rules the rules
    /// @return this builder
    public Builder constraints(Constraints rules) {
      constraints = Objects.requireNonNull(rules, "constraints");
      return this;
    }

    /// Sets how the answer is denoised.
    ///
    /// @param value the options
    /// @return this builder
    public Builder options(DiffusionOptions value) {
      options = value;
      return this;
    }

    /// {@return the request} Throws [RequestException] unless exactly one thing is asked.
    public GenerateRequest build() {
      Object[] kinds = {prompt, messages, promptIds, canvas, canvasIds};
      long given = Arrays.stream(kinds).filter(Objects::nonNull).count();
      check(
          given == 1,
          "prompt",
          "prompt, messages, prompt_ids, canvas, canvas_ids: exactly one of them must be given, got "
              + given);
      check(
          !raw || prompt != null || canvas != null,
          "raw",
          "raw needs a prompt or a canvas of text, got messages or ids");
      check(
          negativePrompt == null || negativePromptIds == null,
          "negative_prompt",
          "negative_prompt and negative_prompt_ids: at most one of them must be given, got both");
      check(
          choices.isEmpty() || constraints.choices().length == 0,
          "choices",
          "choices and choice_ids: at most one of them must be given, got both");
      check(
          timeoutMs == null || timeoutMs >= 1,
          "timeout_ms",
          "timeout_ms must be at least 1, got " + timeoutMs);
      check(options != null, "options", "options must not be null");
      return new GenerateRequest(this);
    }

    private static void check(boolean holds, String field, String message) {
      if (!holds) {
        throw new RequestException(field, message);
      }
    }
  }
}
