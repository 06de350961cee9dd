package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.remask.kernel.SpecialTokens;
import org.junit.jupiter.api.Test;

class AnswersTest {
  private static final int EOS = 8;
  private static final int M = 10;

  private static int[] ids(boolean earlyStop, int[] asked, int... canvas) {
    return Answers.outputIds(asked, canvas, earlyStop, new SpecialTokens(11, M, EOS, 9));
  }

  @Test
  void answers_areTheIdsAtTheMasks() {
    int[] prompt = {1, 2, M, M, M, M};
    assertArrayEquals(new int[] {3, EOS, 4, 5}, ids(false, prompt, 1, 2, 3, EOS, 4, 5));
    int[] holes = {1, M, EOS, M, M};
    assertArrayEquals(new int[] {EOS, 3, 4}, ids(false, holes, 1, EOS, EOS, 3, 4));
    assertArrayEquals(new int[] {3, 4}, ids(false, prompt, 1, 2, 3, 4), "it did not grow");
  }

  @Test
  void earlyStop_cutsBehindTheEos() {
    int[] prompt = {EOS, 2, M, M, M, M};
    assertArrayEquals(new int[] {3, EOS}, ids(true, prompt, EOS, 2, 3, EOS, M, 5));
    assertArrayEquals(new int[] {3, 4, 5, 6}, ids(true, prompt, EOS, 2, 3, 4, 5, 6));
    assertArrayEquals(new int[] {3, EOS}, ids(true, new int[] {1, M, M, M}, 1, 3, EOS, M));
  }
}
