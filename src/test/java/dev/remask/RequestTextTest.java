package dev.remask;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.diffusion.DenoisingTask;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.kernel.SpecialTokens;
import dev.remask.text.Message;
import dev.remask.text.TextCodec;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/// What requests come to in token ids, with tiny-llada's tokenizer.
class RequestTextTest {
  private static final int M = DenoisingTask.MASK;
  private static final SpecialTokens TOKENS = new SpecialTokens(2048, 2047, 2043, 2046);
  private static TextCodec codec;

  @BeforeAll
  static void open() {
    codec = TextCodec.open(Remask.defaultModel()).orElseThrow();
  }

  @AfterAll
  static void close() {
    codec.close();
  }

  private static DenoisingTask task(GenerateRequest.Builder request) {
    return new RequestText(Optional.of(codec), Remask.defaultModel(), TOKENS).task(request.build());
  }

  private static GenerateRequest.Builder request() {
    return GenerateRequest.builder();
  }

  private static void refused(GenerateRequest.Builder request, String field, String mentioned) {
    var e = assertThrows(RequestException.class, () -> task(request));
    assertEquals(field, e.field(), e.getMessage());
    assertTrue(e.getMessage().contains(mentioned), e.getMessage());
  }

  @Test
  void prompts_goThroughTheTemplate_canvasesDoNot() {
    int[] chat = codec.encodeChat(List.of(new Message("user", "Hi")));
    assertArrayEquals(chat, task(request().prompt("Hi")).ids());
    assertArrayEquals(codec.encode("Hi"), task(request().prompt("Hi").raw(true)).ids());
    DenoisingTask canvas = task(request().canvas("The capital of <mask:2> is Paris."));
    assertTrue(canvas.isCanvas());
    int[] expected =
        IntStream.of(codec.encode("The capital of "))
            .boxed()
            .collect(
                java.util.stream.Collectors.collectingAndThen(
                    java.util.stream.Collectors.toList(),
                    head -> {
                      head.addAll(List.of(M, M));
                      Arrays.stream(codec.encode(" is Paris.")).forEach(head::add);
                      return head.stream().mapToInt(Integer::intValue).toArray();
                    }));
    assertArrayEquals(expected, canvas.ids());
    assertEquals(2, canvas.masks());
    // Special tokens are text unless raw.
    assertEquals(1, task(request().canvas("<|eot_id|><mask>").raw(true)).ids()[0] == 2046 ? 1 : 0);
    assertTrue(task(request().canvas("<|eot_id|><mask>")).ids().length > 2);
  }

  @Test
  void negativePrompts_areEncodedAsPrompts() {
    var guided = DiffusionOptions.builder().cfgScale(1).build();
    DenoisingTask byText = task(request().prompt("Hi").negativePrompt("No").options(guided));
    assertArrayEquals(
        codec.encodeChat(List.of(new Message("user", "No"))),
        byText.negativePromptIds().orElseThrow());
    DenoisingTask byIds = task(request().promptIds(1, 2).negativePromptIds(3).options(guided));
    assertArrayEquals(new int[] {3}, byIds.negativePromptIds().orElseThrow());
    assertTrue(task(request().prompt("Hi")).negativePromptIds().isEmpty());
  }

  @Test
  void choices_giveTheLength_andEndWithEos() {
    int[] paris = codec.encode("Paris");
    int[] long1 = codec.encode("The capital of Japan");
    assertTrue(paris.length < long1.length);
    DenoisingTask task =
        task(request().prompt("?").choices(List.of("Paris", "The capital of Japan")));
    assertEquals(long1.length, task.masks());
    int[][] choices = task.constraints().choices();
    assertArrayEquals(long1, choices[1]);
    assertArrayEquals(paris, Arrays.copyOf(choices[0], paris.length));
    for (int i = paris.length; i < long1.length; i++) {
      assertEquals(2043, choices[0][i]);
    }
    var longer = DiffusionOptions.builder().genLength(long1.length + 2).build();
    assertEquals(
        long1.length + 2,
        task(request().prompt("?").choices(List.of("Paris")).options(longer)).masks());
    refused(
        request()
            .prompt("?")
            .choices(List.of("The capital of Japan"))
            .options(DiffusionOptions.builder().genLength(1).build()),
        "choices",
        "as many tokens as there are masks, 1");
    refused(request().prompt("?").choices(List.of("a", "")), "choices", "got 0 in choice 1");
    refused(request().canvas("<mask> x").choices(List.of("The capital of")), "choices", "masks, 1");
  }

  @Test
  void withoutTokenizer_idsAreTheWay() {
    var without = new RequestText(Optional.empty(), Path.of("nowhere"), TOKENS);
    for (String field : List.of("prompt", "canvas", "messages", "choices", "negative_prompt")) {
      var request = request();
      switch (field) {
        case "prompt" -> request.prompt("x");
        case "canvas" -> request.canvas("<mask>");
        case "messages" -> request.messages(List.of(new Message("user", "x")));
        case "choices" -> request.promptIds(1).choices(List.of("x"));
        default -> request.promptIds(1).negativePrompt("x");
      }
      var e = assertThrows(RequestException.class, () -> without.task(request.build()));
      assertEquals(field, e.field());
      assertTrue(e.getMessage().contains("needs a tokenizer"), e.getMessage());
      assertTrue(e.getMessage().contains("_ids"), e.getMessage());
    }
    assertEquals(1, without.task(request().canvasIds(1, M).build()).masks());
  }
}
