package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.model.WorkspaceLimits;
import dev.remask.testing.Seed;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/// Every wanted row is in one pass, and no pass is beyond the limits.
class ScorePackingTest {
  private static MaskedAnswer answer(int prompt, int answer, int masked, double scale) {
    return new MaskedAnswer(new int[prompt], new int[answer], new int[masked], scale);
  }

  @Test
  void answers_shareAPassUpToTheLimits() {
    var limits = new WorkspaceLimits(100, 20, 4);
    var four = List.of(answer(5, 5, 5, 0), answer(5, 5, 5, 0), answer(5, 5, 5, 0));
    assertEquals(1, ScorePacking.of(four, limits).size());
    var byTokens = List.of(answer(40, 20, 1, 0), answer(40, 1, 1, 0));
    assertEquals(2, ScorePacking.of(byTokens, limits).size());
    var byRows = List.of(answer(0, 20, 15, 0), answer(0, 20, 6, 0));
    assertEquals(2, ScorePacking.of(byRows, limits).size());
    var bySequences = List.of(answer(0, 1, 1, 1), answer(0, 1, 1, 1), answer(0, 1, 1, 0));
    assertEquals(2, ScorePacking.of(bySequences, limits).size());
  }

  @Test
  void rowsBeyondAPass_goThroughSeveral() {
    var parts = ScorePacking.of(List.of(answer(0, 50, 45, 0)), new WorkspaceLimits(100, 20, 4));
    assertEquals(
        List.of(
            List.of(new ScorePacking.Part(0, 0, 20)),
            List.of(new ScorePacking.Part(0, 20, 20)),
            List.of(new ScorePacking.Part(0, 40, 5))),
        parts);
    var guided = ScorePacking.of(List.of(answer(0, 50, 45, 1)), new WorkspaceLimits(100, 21, 4));
    assertEquals(5, guided.size());
  }

  @Test
  void everyRow_isInOnePassWithinTheLimits() {
    Seed seed = Seed.fresh();
    var random = seed.random();
    for (int round = 0; round < 200; round++) {
      var limits =
          new WorkspaceLimits(
              100 + random.nextInt(200), 2 + random.nextInt(60), 2 + random.nextInt(8));
      var answers = new ArrayList<MaskedAnswer>();
      for (int i = 0; i < 30; i++) {
        int length = 1 + random.nextInt(40);
        answers.add(
            answer(random.nextInt(10), length, 1 + random.nextInt(length), random.nextInt(2)));
      }
      int[] found = new int[answers.size()];
      for (List<ScorePacking.Part> pass : ScorePacking.of(answers, limits)) {
        int tokens = 0;
        int rows = 0;
        int sequences = 0;
        for (ScorePacking.Part part : pass) {
          MaskedAnswer answer = answers.get(part.answer());
          assertEquals(found[part.answer()], part.first(), "no gap, " + seed);
          assertTrue(part.count() > 0);
          found[part.answer()] += part.count();
          tokens += answer.copies() * answer.length();
          rows += answer.copies() * part.count();
          sequences += answer.copies();
        }
        assertTrue(
            tokens <= limits.maxTokens()
                && rows <= limits.maxRows()
                && sequences <= limits.maxSequences(),
            limits + " " + seed);
      }
      for (int i = 0; i < found.length; i++) {
        assertEquals(answers.get(i).masked().length, found[i], seed.toString());
      }
    }
  }
}
