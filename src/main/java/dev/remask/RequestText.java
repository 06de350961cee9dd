package dev.remask;

import dev.remask.diffusion.Constraints;
import dev.remask.diffusion.DenoisingTask;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.InvalidOptionException;
import dev.remask.kernel.SpecialTokens;
import dev.remask.text.Message;
import dev.remask.text.MessageException;
import dev.remask.text.TextCodec;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/// Turns what a request says in text into token ids.
final class RequestText {
  private final Optional<TextCodec> codec;
  private final Path folder;
  private final SpecialTokens tokens;

  /// `folder` is the model's: messages say why it has no tokenizer.
  RequestText(Optional<TextCodec> codec, Path folder, SpecialTokens tokens) {
    this.codec = codec;
    this.folder = folder;
    this.tokens = tokens;
  }

  /// The request in token ids, not validated yet. Throws [RequestException] where text cannot be
  /// encoded or choices do not fit.
  DenoisingTask task(GenerateRequest request) {
    int[][] choices = choices(request);
    DiffusionOptions options = request.options();
    DenoisingTask task;
    if (request.canvas().isPresent()) {
      int[] ids =
          CanvasText.encode(
              request.canvas().get(), request.raw(), tokenizer("canvas", "canvas_ids"));
      task = DenoisingTask.ofCanvas(ids, options);
    } else if (request.canvasIds().isPresent()) {
      task = DenoisingTask.ofCanvas(request.canvasIds().get(), options);
    } else {
      if (choices.length > 0 && !options.hasGenLength()) {
        int longest = Arrays.stream(choices).mapToInt(ids -> ids.length).max().orElseThrow();
        options = options.toBuilder().genLength(longest).build();
      }
      task = DenoisingTask.ofPrompt(promptIds(request), options);
    }
    Constraints constraints = request.constraints();
    if (choices.length > 0) {
      constraints = constraints.withChoices(filledUp(choices, task.masks(), request));
    }
    return task.withConstraints(constraints).withNegativePrompt(negativePromptIds(request));
  }

  /// The mistake under the name that the request has for the field: what was said in text is
  /// checked as ids.
  static RequestException named(GenerateRequest request, InvalidOptionException mistake) {
    String field =
        switch (mistake.field()) {
          case "choice_ids" -> request.choices().isEmpty() ? "choice_ids" : "choices";
          case "canvas_ids" -> request.canvas().isEmpty() ? "canvas_ids" : "canvas";
          default -> mistake.field();
        };
    return new RequestException(
        field, field + mistake.getMessage().substring(mistake.field().length()));
  }

  /// The prompt's ids; of a request that has a prompt.
  int[] promptIds(GenerateRequest request) {
    if (request.promptIds().isPresent()) {
      return request.promptIds().get();
    }
    if (request.messages().isPresent()) {
      TextCodec text = tokenizer("messages", "prompt_ids");
      if (!text.hasChatTemplate()) {
        throw new RequestException(
            "messages", "messages needs a model with a chat template, got one without; use prompt");
      }
      return encodeChat(text, "messages", request.messages().get());
    }
    return encode("prompt", request.prompt().orElseThrow(), request.raw());
  }

  private int[] negativePromptIds(GenerateRequest request) {
    return request
        .negativePromptIds()
        .or(() ->
            request.negativePrompt().map(text -> encode("negative_prompt", text, request.raw())))
        .orElse(null);
  }

  private int[] encode(String field, String prompt, boolean raw) {
    TextCodec text = tokenizer(field, field + "_ids");
    if (raw) {
      return text.encodeRaw(prompt);
    }
    return text.hasChatTemplate()
        ? encodeChat(text, field, List.of(new Message("user", prompt)))
        : text.encode(prompt);
  }

  private static int[] encodeChat(TextCodec codec, String field, List<Message> messages) {
    try {
      return codec.encodeChat(messages);
    } catch (MessageException e) {
      throw new RequestException(field, field + ": " + e.getMessage());
    }
  }

  /// The tokenizer that `field` needs; its absence is refused, naming the field to use `instead`.
  TextCodec tokenizer(String field, String instead) {
    return codec.orElseThrow(() -> {
      String reason = TextCodec.whyAbsent(folder).orElse("the model has no tokenizer");
      return new RequestException(
          field, field + " needs a tokenizer, but " + reason + "; use " + instead);
    });
  }

  private int[][] choices(GenerateRequest request) {
    if (request.choices().isEmpty()) {
      return request.constraints().choices();
    }
    TextCodec text = tokenizer("choices", "choice_ids");
    return request.choices().stream()
        .map(choice -> request.raw() ? text.encodeRaw(choice) : text.encode(choice))
        .toArray(int[][]::new);
  }

  /// Choices with an id for each mask: shorter ones end with EOS.
  private int[][] filledUp(int[][] choices, int masks, GenerateRequest request) {
    String field = request.choices().isEmpty() ? "choice_ids" : "choices";
    int[][] filled = new int[choices.length][];
    for (int i = 0; i < choices.length; i++) {
      int length = choices[i].length;
      if (length == 0 || length > masks) {
        throw new RequestException(
            field,
            field
                + " must have from 1 to as many tokens as there are masks, "
                + masks
                + ", got "
                + length
                + " in choice "
                + i);
      }
      if (length < masks && tokens.eos() < 0) {
        throw new RequestException(
            field,
            field
                + " must have as many tokens as there are masks, "
                + masks
                + ", because the model has no EOS to fill them up, got "
                + length
                + " in choice "
                + i);
      }
      filled[i] = Arrays.copyOf(choices[i], masks);
      Arrays.fill(filled[i], length, masks, tokens.eos());
    }
    return filled;
  }
}
