package dev.remask.cli;

import dev.remask.GenerateRequest;
import dev.remask.GenerateResult;
import dev.remask.Model;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/// `remask chat`: a conversation, a line at a time.
@Command(
    name = "chat",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    sortOptions = false,
    abbreviateSynopsis = true,
    description = {
      "Talks with a model that has a chat template; each line of input is a message.",
      "",
      "When the conversation outgrows the model's context, its oldest turns are left out."
    },
    footer = {
      "",
      "Lines that begin with / are commands:",
      "  /reset   forget the conversation",
      "  /help    list the commands",
      "  /exit    leave (so does the end of input)",
      "",
      "Examples:",
      "  remask chat",
      "  remask chat --system \"Be brief.\" --gen-length 64 --steps 32",
      "  printf 'Hello!\\nWhat is the capital of Japan?\\n' | remask chat --gen-length 24"
    })
final class ChatCommand implements Callable<Integer> {
  private static final String HELP =
      "/reset forgets the conversation, /exit leaves; anything else is a message.";

  private final Surroundings surroundings;
  private final Interruption interruption;

  @Option(
      names = "--system",
      paramLabel = "TEXT",
      description = "A system message that begins the conversation.")
  private String system;

  @Mixin private DenoisingOptions denoising;
  @Mixin private CommonOptions common;

  ChatCommand(Surroundings surroundings, Interruption interruption) {
    this.surroundings = surroundings;
    this.interruption = interruption;
  }

  @Override
  public Integer call() {
    try (Model model = common.load(surroundings)) {
      if (model.codec().isEmpty() || !model.codec().get().hasChatTemplate()) {
        throw new UsageException(
            "chat needs a model with a tokenizer and a chat template; use generate");
      }
      var conversation = new Conversation(model, system, denoising.options(false));
      converse(model, conversation);
    }
    return ExitStatus.DONE;
  }

  private void converse(Model model, Conversation conversation) {
    var lines =
        new BufferedReader(new InputStreamReader(surroundings.in(), StandardCharsets.UTF_8));
    greet(model);
    for (String line = read(lines); line != null; line = read(lines)) {
      String message = line.strip();
      if (message.equals("/exit") || message.equals("/quit")) {
        return;
      } else if (message.equals("/reset")) {
        conversation.reset();
        note("the conversation is forgotten");
      } else if (message.startsWith("/")) {
        note(message.equals("/help") ? HELP : "unknown command " + message + "; " + HELP);
      } else if (!message.isEmpty()) {
        answer(model, conversation, line);
      }
    }
  }

  private void answer(Model model, Conversation conversation, String message) {
    try {
      Conversation.Turn turn = conversation.prepare(message);
      if (turn.leftOut() > 0) {
        note("the context is full: the " + turn.leftOut() + " oldest messages are left out");
      }
      GenerateRequest request = turn.request();
      GenerateResult result;
      if (surroundings.outIsTerminal()) {
        result = AnswerScreen.show(model, request, surroundings);
      } else {
        result = model.generate(request);
        surroundings.out().println(GenerateCommand.textOf(result));
      }
      surroundings.out().flush();
      conversation.add(turn, GenerateCommand.textOf(result));
    } catch (RuntimeException e) {
      if (!ExitStatus.isBadRequest(e)) {
        throw e;
      }
      note(e.getMessage()); // the message is not part of the conversation; the next may be better
    }
  }

  private void greet(Model model) {
    if (surroundings.outIsTerminal()) {
      note("talking on " + model.device().name() + "; " + HELP);
    }
  }

  private String read(BufferedReader lines) {
    if (surroundings.outIsTerminal()) {
      surroundings.out().print("> ");
      surroundings.out().flush();
    }
    return interruption.whileWaiting(() -> {
      try {
        return lines.readLine();
      } catch (IOException e) {
        throw new UncheckedIOException("standard input cannot be read: " + e.getMessage(), e);
      }
    });
  }

  private void note(String text) {
    PrintStream err = surroundings.err();
    err.println("[" + text + "]");
    err.flush();
  }
}
