package dev.remask;

import dev.remask.diffusion.ScoreMethod;
import dev.remask.text.Message;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// Asks how likely an answer is, or which of several is likeliest. Immutable and reusable.
///
/// The prompt is given as in a [GenerateRequest]. The answer is exactly one of: a text, token ids,
/// choices as texts, choices as token ids; a text is encoded on its own, without special tokens.
/// What is masked to find out is one of: fixed positions, random draws (the default, 128 of them),
/// each token given others; see [ScoreMethod].
///
/// ```java
/// model.score(ScoreRequest.builder().prompt("What is 2 + 2?").answer("2 + 2 = 4").build());
/// ```
public final class ScoreRequest {
  private final String prompt;
  private final List<Message> messages;
  private final int[] promptIds;
  private final boolean raw;
  private final boolean asksChoice;
  private final List<String> answers;
  private final List<int[]> answerIds;
  private final ScoreMethod method;
  private final double cfgScale;
  private final boolean greedy;

  private ScoreRequest(Builder builder) {
    prompt = builder.prompt;
    messages = builder.messages;
    promptIds = builder.promptIds;
    raw = builder.raw;
    asksChoice = builder.asksChoice;
    answers = builder.answers;
    answerIds = builder.answerIds;
    method = builder.method();
    cfgScale = builder.cfgScale;
    greedy = builder.greedy;
  }

  /// {@return an empty builder}
  public static Builder builder() {
    return new Builder();
  }

  /// A request from a JSON object with the fields `prompt`, `messages` or `prompt_ids`, `raw`;
  /// `answer`, `answer_ids`, `choices` or `choice_ids`; `masked`, `draws` and `seed`, or
  /// `conditional` (`others` or `left`); `cfg_scale`; `greedy`. Throws [RequestException] for
  /// anything else.
  ///
  /// @param json one JSON object
  /// @return the request
  public static ScoreRequest fromJson(String json) {
    return ScoreJson.request(json);
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

  /// {@return whether the prompt is encoded as it is: no chat template, special tokens recognised}
  public boolean raw() {
    return raw;
  }

  /// {@return whether choices were given, be it one: the result ranks them}
  public boolean asksChoice() {
    return asksChoice;
  }

  /// {@return the answer or the choices, if given as text}
  public Optional<List<String>> answers() {
    return Optional.ofNullable(answers);
  }

  /// {@return copies of the answer or the choices, if given by ids}
  public Optional<List<int[]>> answerIds() {
    return Optional.ofNullable(answerIds).map(ids -> ids.stream().map(int[]::clone).toList());
  }

  /// {@return what is masked}
  public ScoreMethod method() {
    return method;
  }

  /// {@return strength of guidance by a copy whose prompt is masked; 0: none}
  public double cfgScale() {
    return cfgScale;
  }

  /// {@return whether to find out if the answer is what the model itself gives, token by token}
  public boolean greedy() {
    return greedy;
  }

  /// Collects a request.
  public static final class Builder {
    private String prompt;
    private List<Message> messages;
    private int[] promptIds;
    private boolean raw;
    private boolean asksChoice;
    private int answerKinds;
    private List<String> answers;
    private List<int[]> answerIds;
    private int[] masked;
    private Integer draws;
    private Long seed;
    private ScoreMethod.Given conditional;
    private double cfgScale;
    private boolean greedy;

    private Builder() {}

    /// The prompt as text; goes through the model's chat template where it has one, unless raw.
    ///
    /// @param text the text
    /// @return this builder
    public Builder prompt(String text) {
      prompt = text;
      return this;
    }

    /// The prompt as a conversation; needs a model with a chat template.
    ///
    /// @param conversation its turns, in order
    /// @return this builder
    public Builder messages(List<Message> conversation) {
      messages = List.copyOf(conversation);
      return this;
    }

    /// The prompt as token ids, special ones included; none at all is legal. Needs no tokenizer.
    ///
    /// @param ids token ids
    /// @return this builder
    public Builder promptIds(int... ids) {
      promptIds = ids.clone();
      return this;
    }

    /// Leaves a prompt of text as it is: no chat template, special tokens in it recognised.
    ///
    /// @param on whether it is so
    /// @return this builder
    public Builder raw(boolean on) {
      raw = on;
      return this;
    }

    /// The answer as text.
    ///
    /// @param text the text
    /// @return this builder
    public Builder answer(String text) {
      return given(false, text == null ? null : List.of(text), null);
    }

    /// The answer as token ids.
    ///
    /// @param ids token ids
    /// @return this builder
    public Builder answerIds(int... ids) {
      return given(false, null, List.of(ids.clone()));
    }

    /// The answers to choose among, as texts.
    ///
    /// @param texts the answers
    /// @return this builder
    public Builder choices(List<String> texts) {
      return given(true, List.copyOf(texts), null);
    }

    /// The answers to choose among, as token ids.
    ///
    /// @param ids token ids
    /// @return this builder
    public Builder choiceIds(List<int[]> ids) {
      return given(true, null, ids.stream().map(int[]::clone).toList());
    }

    /// Masks these positions of the answer, all at once. Not with choices: they differ in length.
    ///
    /// @param positions in the answer, from 0
    /// @return this builder
    public Builder masked(int... positions) {
      masked = positions.clone();
      return this;
    }

    /// Estimates by `count` random masks. Default 128.
    ///
    /// @param count how many draws
    /// @return this builder
    public Builder draws(int count) {
      draws = count;
      return this;
    }

    /// Seed of the draws. Default 0.
    ///
    /// @param value the value
    /// @return this builder
    public Builder seed(long value) {
      seed = value;
      return this;
    }

    /// Scores every token given others.
    ///
    /// @param given what a token is conditioned on
    /// @return this builder
    public Builder conditional(ScoreMethod.Given given) {
      conditional = given;
      return this;
    }

    /// Strength of classifier-free guidance. Default 0: off; anything else doubles the work.
    ///
    /// @param value the value
    /// @return this builder
    public Builder cfgScale(double value) {
      cfgScale = value;
      return this;
    }

    /// Also generates an answer of the same length, a token a step, to tell whether it is this one:
    /// lm-eval's `is_greedy`. Costs as many passes as the answer has tokens.
    ///
    /// @param on whether it is so
    /// @return this builder
    public Builder greedy(boolean on) {
      greedy = on;
      return this;
    }

    /// {@return the request} Throws [RequestException] unless exactly one kind of prompt, one kind
    /// of answer and at most one method was given.
    public ScoreRequest build() {
      int prompts = given(prompt) + given(messages) + given(promptIds);
      require(
          prompts == 1,
          "prompt",
          "prompt, messages, prompt_ids: exactly one of them must be given, got " + prompts);
      require(
          !raw || prompt != null, "raw", "raw needs a prompt of text, got messages or prompt_ids");
      require(
          answerKinds == 1,
          "answer",
          "answer, answer_ids, choices, choice_ids: exactly one of them must be given, got "
              + answerKinds);
      int count = answers != null ? answers.size() : answerIds == null ? 0 : answerIds.size();
      require(count > 0, "choices", "choices must hold at least one answer, got none");
      boolean random = draws != null || seed != null;
      int methods = given(masked) + given(conditional) + (random ? 1 : 0);
      require(
          methods <= 1,
          "masked",
          "masked, draws (with seed), conditional: at most one of them may be given, got "
              + methods);
      require(
          masked == null || !asksChoice,
          "masked",
          "masked needs a single answer, got choices; use draws or conditional");
      return new ScoreRequest(this);
    }

    private ScoreMethod method() {
      if (masked != null) {
        return new ScoreMethod.FixedMask(masked);
      }
      if (conditional != null) {
        return new ScoreMethod.Conditional(conditional);
      }
      return new ScoreMethod.MonteCarlo(
          draws == null ? ScoreMethod.DEFAULT_DRAWS : draws, seed == null ? 0 : seed);
    }

    private Builder given(boolean choice, List<String> texts, List<int[]> ids) {
      answerKinds += texts == null && ids == null ? 0 : 1;
      asksChoice |= choice;
      answers = texts;
      answerIds = ids == null ? null : new ArrayList<>(ids);
      return this;
    }

    private static int given(Object value) {
      return value == null ? 0 : 1;
    }

    private static void require(boolean holds, String field, String message) {
      if (!holds) {
        throw new RequestException(field, message);
      }
    }
  }
}
