package com.example.embed;

import dev.remask.GenerateRequest;
import dev.remask.GenerateResult;
import dev.remask.LoadOptions;
import dev.remask.Model;
import dev.remask.Remask;
import dev.remask.ScoreRequest;
import dev.remask.ScoreResult;
import dev.remask.cuda.DeviceSpec;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.kernel.DType;
import java.util.Arrays;
import java.util.List;

/// A program of somebody else's that answers and ranks by token ids: it needs Remask's jar, Jackson
/// and, without a GPU, oneDNN's natives, but no tokenizer and no command line.
public final class Embed {
  /// "What is 47 + 38?" as a user's message, in tiny-llada's tokens.
  private static final int[] QUESTION = {
    2042, 2044, 736, 2045, 198, 198, 266, 260, 220, 19, 22, 269, 220, 18, 23, 30, 2046, 2044, 739,
    2045, 198, 198
  };

  private Embed() {}

  /// Arguments: the device, `auto` unless given.
  public static void main(String[] arguments) {
    DeviceSpec device = DeviceSpec.parse(arguments.length > 0 ? arguments[0] : "auto");
    LoadOptions options = LoadOptions.defaults().withDevice(device).withMaxTokens(1024);
    // Two models in one JVM, each with its memory and its thread, both gone when they are closed.
    try (Model exact = Remask.load(Remask.defaultModel(), options.withDType(DType.F32));
        Model fast = Remask.load(Remask.defaultModel(), options)) {
      for (Model model : List.of(exact, fast)) {
        System.out.println(model.dtype() + " answers " + Arrays.toString(answer(model)));
        System.out.println(model.dtype() + " prefers choice " + prefer(model));
      }
    }
    long left =
        Thread.getAllStackTraces().keySet().stream()
            .filter(thread -> thread.getName().startsWith("remask"))
            .count();
    System.out.println("threads left: " + left);
  }

  private static int[] answer(Model model) {
    GenerateResult result =
        model.generate(
            GenerateRequest.builder()
                .promptIds(QUESTION)
                .options(DiffusionOptions.builder().genLength(32).blockLength(16).steps(32).build())
                .build());
    return Arrays.copyOf(result.outputIds(), 11);
  }

  /// Which of "47 + 38 = 85" and "Paris" is the likelier answer.
  private static int prefer(Model model) {
    ScoreResult result =
        model.score(
            ScoreRequest.builder()
                .promptIds(QUESTION)
                .choiceIds(
                    List.of(
                        new int[] {19, 22, 269, 220, 18, 23, 271, 220, 23, 20},
                        new int[] {47, 1742}))
                .draws(16)
                .build());
    return result.best();
  }
}
