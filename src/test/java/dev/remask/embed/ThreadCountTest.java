package dev.remask.embed;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.ChildJvm;
import java.util.List;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;

/// How many compute threads the software device has changes no token, no step and no confidence.
class ThreadCountTest {
  private static final Predicate<String> THREADS = line -> line.startsWith("threads ");

  private static List<String> answers(String threads) {
    var result = new ChildJvm().environment("REMASK_THREADS", threads).run(AnswersOfThreads.class);
    assertEquals(0, result.status(), result.output());
    return result.output().lines().toList();
  }

  @Test
  void wholeGenerations_areTheSameBits_withOneThreadAndWithTwo() {
    List<String> one = answers("1");
    List<String> two = answers("2");
    List<String> expected = one.stream().filter(THREADS.negate()).toList();
    assertTrue(expected.size() >= 48, expected::toString);
    assertEquals(
        String.join("\n", expected),
        String.join("\n", two.stream().filter(THREADS.negate()).toList()));
    assertNotEquals(
        one.stream().filter(THREADS).toList(),
        two.stream().filter(THREADS).toList(),
        "there were as many threads as asked for");
    assertNotEquals(expected.get(4), expected.get(0), "samples differ from what is most probable");
  }
}
