package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.GenerateRequest;
import dev.remask.diffusion.Commit;
import dev.remask.diffusion.StepEvent;
import dev.remask.kernel.SpecialTokens;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/// What the terminal is sent.
class DrawingTest {
  private static final int MASK = 99;
  private static final int EOS = 98;
  private static final Canvas IDS =
      new Canvas(Optional.empty(), new SpecialTokens(100, MASK, EOS, -1));

  @Test
  void lines_breakWhereTheyAreFull() {
    assertEquals(List.of("abc", "de"), TextLines.wrap("abcde", 3));
    assertEquals(List.of("abc"), TextLines.wrap("abc", 3));
    assertEquals(List.of("a", "", "b"), TextLines.wrap("a\n\nb", 3));
    assertEquals(List.of("\u4f60", "\u597d"), TextLines.wrap("\u4f60\u597d", 3));
    assertEquals(List.of("ae\u0301i"), TextLines.wrap("ae\u0301i", 3));
    assertEquals(List.of("\ud83c\udf89", "x"), TextLines.wrap("\ud83c\udf89x", 2));
    assertEquals(List.of(""), TextLines.wrap("", 3));
  }

  @Test
  void answers_cannotSendControlSequences() {
    assertEquals("a\ufffd[2Jb\nc d\ufffd", Ansi.harmless("a\u001b[2Jb\nc\td\u009b"));
  }

  @Test
  void canvas_showsMasksUpToTheKnownEnd() {
    assertEquals("1,░░2,", IDS.text(new int[] {1, MASK, MASK, 2}));
    assertEquals("░3,", IDS.text(new int[] {MASK, 3, EOS, MASK, 4}));
    assertEquals("", IDS.text(new int[] {EOS, MASK}));
    assertEquals(3, IDS.committed(new int[] {MASK, 3, EOS, MASK, 4}));
  }

  private static int[] masks(int count) {
    int[] ids = new int[count];
    Arrays.fill(ids, GenerateRequest.MASK);
    return ids;
  }

  @Test
  void screen_takesRevisionsBack_andGrowsWithTheAnswer() throws InterruptedException {
    var bytes = new ByteArrayOutputStream();
    var out = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    var in = new ByteArrayInputStream(new byte[0]);
    var surroundings = new Surroundings(in, out, out, Map.of(), Path.of(""), true, true);
    var screen = new AnswerScreen(surroundings, new TerminalSize(60, 6), IDS, masks(3));
    screen.onStep(new StepEvent(1, List.of(new Commit(0, 0, 5, 1), new Commit(0, 2, 6, 1))));
    Thread.sleep(50); // longer than a frame
    screen.onStep(
        new StepEvent(
            2, List.of(new Commit(1, 4, 8, 1), new Commit(1, 0, Commit.MASKED_AGAIN, 0))));
    String sent = bytes.toString(StandardCharsets.UTF_8);
    assertTrue(sent.contains("5,░6,"), sent);
    assertTrue(sent.contains("░░6,░8,"), sent);
    assertTrue(sent.contains("step 2  tokens 2/5"), sent);
  }

  @Test
  void screen_neverDrawsMoreThanFits_andGoesBackAsFarAsItDrew() throws InterruptedException {
    var bytes = new ByteArrayOutputStream();
    var out = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    var in = new ByteArrayInputStream(new byte[0]);
    var surroundings = new Surroundings(in, out, out, Map.of(), Path.of(""), true, false);
    var screen = new AnswerScreen(surroundings, new TerminalSize(10, 6), IDS, masks(500));
    screen.onStep(new StepEvent(1, List.of(new Commit(0, 499, EOS, 1))));
    Thread.sleep(50); // longer than a frame
    List<Commit> commits = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      commits.add(new Commit(1, i, 7, 1));
    }
    screen.onStep(new StepEvent(2, commits));
    String sent = bytes.toString(StandardCharsets.UTF_8);
    assertEquals(8, sent.chars().filter(c -> c == '\n').count(), sent);
    assertTrue(sent.contains("\r\u001b[4A" + Ansi.CLEAR_BELOW), sent);
    String last = sent.substring(sent.lastIndexOf(Ansi.CLEAR_BELOW));
    assertTrue(last.contains("7,") && last.contains(Canvas.MASK), last);
    assertFalse(last.contains("\u001b[0A"), last);
  }
}
