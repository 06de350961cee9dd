package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// `remask chat` with the default model on the software device, fed through a pipe.
class ChatCommandTest {
  @TempDir Path folder;

  private CliRun chat(String input, String... arguments) {
    String[] all = new String[arguments.length + 3];
    all[0] = "chat";
    all[1] = "--device";
    all[2] = "software";
    System.arraycopy(arguments, 0, all, 3, arguments.length);
    return new CliRun(folder).input(input).run(all);
  }

  @Test
  void answersLineByLine_untilTheInputEnds() {
    CliRun run = chat("What is 47 + 38?\n\nWho are you?\n", "--gen-length", "24");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    List<String> lines = run.out().lines().toList();
    assertEquals(2, lines.size(), run::toString);
    assertEquals("47 + 38 = 85", lines.getFirst());
    assertEquals("", run.err());
  }

  @Test
  void historyIsKept_andForgottenOnReset() {
    // The golden conversation: the capital after a greeting.
    String question = "What is the capital of Japan?";
    CliRun kept =
        chat(
            "Hello!\n" + question + "\n",
            "--system",
            "Be brief.",
            "--gen-length",
            "24",
            "--block-length",
            "12",
            "--steps",
            "12");
    assertTrue(kept.out().contains("The capital of Japan is Tokyo."), kept::toString);
    CliRun reset = chat("Hello!\n/reset\nHello!\n", "--gen-length", "24");
    List<String> lines = reset.out().lines().toList();
    assertEquals(lines.get(0), lines.get(1), reset::toString);
    assertTrue(reset.err().contains("forgotten"), reset::toString);
  }

  @Test
  void commands() {
    CliRun run = chat("/help\n/what\n/exit\nHello!\n");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    assertEquals("", run.out(), run::toString);
    assertTrue(run.err().contains("/reset"), run::toString);
    assertTrue(run.err().contains("unknown command /what"), run::toString);
  }

  @Test
  void fullContext_dropsOldestTurnsAndSaysSo() {
    String longer = "apple ".repeat(300);
    CliRun run =
        chat(
            longer + "\n" + longer + "\n" + longer + "\n" + longer + "\n",
            "--gen-length",
            "16",
            "--steps",
            "2");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    assertTrue(run.err().contains("context is full"), run::toString);
    assertEquals(4, run.out().lines().count(), run::toString);
  }

  @Test
  void messageThatNeverFits_isRefusedAndTheTalkGoesOn() {
    CliRun run = chat("apple ".repeat(2000) + "\nWhat is 47 + 38?\n", "--gen-length", "24");
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    assertTrue(run.err().contains("max_sequence_length"), run::toString);
    assertEquals("47 + 38 = 85", run.out().strip());
  }

  @Test
  void modelWithoutTokenizer_cannotChat() throws URISyntaxException {
    Path micro =
        Path.of(ChatCommandTest.class.getResource("/golden/micro/config.json").toURI()).getParent();
    CliRun run = chat("Hello!\n", "--model", micro.toString(), "--dtype", "f32");
    assertEquals(ExitStatus.USAGE, run.status(), run::toString);
    assertTrue(run.err().contains("chat template"), run::toString);
  }
}
