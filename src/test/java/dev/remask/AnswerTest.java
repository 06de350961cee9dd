package dev.remask;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.diffusion.DenoisingTask;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.kernel.SpecialTokens;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class AnswerTest {
  private static final int EOS = 8;
  private static final int EOT = 9;
  private static final int MASK = 10;
  private static final int M = DenoisingTask.MASK;
  private static final SpecialTokens TOKENS = new SpecialTokens(11, MASK, EOS, EOT);

  private static DiffusionOptions.Builder options() {
    return DiffusionOptions.builder().genLength(4);
  }

  private static Answer answer(DiffusionOptions.Builder options, int... output) {
    int[] canvas = {1, 2, output[0], output[1], output[2], output[3]};
    var task = DenoisingTask.ofPrompt(new int[] {1, 2}, options.build());
    return new Answer(task, canvas, output, TOKENS);
  }

  @Test
  void anEndToken_endsTheAnswer() {
    assertEquals(FinishReason.STOP, answer(options(), 3, EOS, 4, 5).finishReason());
    assertEquals(FinishReason.STOP, answer(options(), 3, EOT, 4, 5).finishReason());
    assertEquals(FinishReason.LENGTH, answer(options(), 3, 4, 4, 5).finishReason());
    assertEquals(
        FinishReason.LENGTH,
        answer(options().suppressEos(true), 3, EOT, 4, 5).finishReason(),
        "EoT ends nothing there");
    assertArrayEquals(new int[] {1, 2}, answer(options(), 3, EOS, 4, 5).promptIds());
    assertTrue(answer(options(), 3, EOS, 4, 5).canvasIds().isEmpty());
  }

  private static Answer canvas(DiffusionOptions.Builder options, int[] asked, int... filled) {
    options.unset("gen_length");
    int[] output =
        IntStream.range(0, asked.length)
            .filter(at -> asked[at] == M && filled[at] != MASK)
            .map(at -> filled[at])
            .toArray();
    return new Answer(DenoisingTask.ofCanvas(asked, options.build()), filled, output, TOKENS);
  }

  @Test
  void canvases_endBehindTheirLastFixedToken() {
    Answer holes = canvas(options(), new int[] {1, M, 2, M, M}, 1, EOS, 2, 3, 4);
    assertArrayEquals(new int[] {1, EOS, 2, 3, 4}, holes.canvasIds().orElseThrow());
    assertArrayEquals(new int[] {1}, holes.promptIds());
    assertEquals(FinishReason.LENGTH, holes.finishReason(), "fixed tokens stand behind that EOS");
    assertEquals(
        FinishReason.STOP,
        canvas(options(), new int[] {1, M, 2, M, M}, 1, 3, 2, EOS, 4).finishReason());
    assertEquals(
        FinishReason.LENGTH, canvas(options(), new int[] {M, M, 2}, EOS, EOS, 2).finishReason());
    assertEquals(FinishReason.STOP, canvas(options(), new int[] {M, M}, 3, EOT).finishReason());
    Answer early = canvas(options().earlyStop(true), new int[] {1, M, M, M}, 1, 3, EOS, MASK);
    assertArrayEquals(new int[] {1, 3, EOS, M}, early.canvasIds().orElseThrow());
    assertEquals(FinishReason.STOP, early.finishReason());
  }
}
