package dev.remask.cli;

import dev.remask.GenerateResult;
import dev.remask.Generation;
import dev.remask.Model;
import dev.remask.Session;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeUnit;
import tools.jackson.databind.JsonNode;

/// Answers a file of requests, many at once; results come in the order of the lines, each as soon
/// as it and those before it are there, so that another program may feed lines and read results in
/// turn.
final class BatchRun {
  /// Requests that are handed in before the oldest has its result: more than any device takes at
  /// once, so that a long answer at the front keeps no place empty.
  private static final int IN_FLIGHT = 512;

  /// How often input is looked for while results are waited for.
  private static final long LOOK_MILLIS = 5;

  /// What some editors write before a file's first line; no JSON may begin with it.
  private static final String BYTE_ORDER_MARK = "\ufeff";

  private final Model model;
  private final BatchLine parser;
  private final ResultJson json;
  private final BatchOutput output;
  private final BatchProgress progress;
  private final ArrayDeque<Pending> pending = new ArrayDeque<>();
  private int status = ExitStatus.DONE;

  /// A line on its way: a generation, or what is wrong with the line.
  private record Pending(long line, JsonNode id, Generation generation, String error) {}

  BatchRun(
      Model model, BatchLine parser, ResultJson json, BatchOutput output, BatchProgress progress) {
    this.model = model;
    this.parser = parser;
    this.json = json;
    this.output = output;
    this.progress = progress;
  }

  /// Opens the input: a file, or `-` for standard input. Throws [UsageException] if there is none.
  static BufferedReader open(String name, Surroundings surroundings) {
    try {
      InputStream stream = surroundings.in();
      if (!name.equals("-")) {
        Path file = surroundings.folder().resolve(name);
        if (!Files.isReadable(file) || Files.isDirectory(file)) {
          throw new UsageException("--batch: there is no readable file " + name);
        }
        stream = Files.newInputStream(file);
      }
      return new BufferedReader(new InputStreamReader(stream, StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UsageException("--batch: " + name + " cannot be read: " + e.getMessage());
    }
  }

  /// Requests in the input; 0 if nobody watches, or if it can only be read once (a pipe).
  static long count(String name, Surroundings surroundings) throws IOException {
    boolean readable = Files.isRegularFile(surroundings.folder().resolve(name));
    if (name.equals("-") || !readable || !surroundings.errIsTerminal()) {
      return 0;
    }
    try (BufferedReader lines = open(name, surroundings)) {
      return lines.lines().filter(line -> !line.isBlank()).count();
    }
  }

  /// Answers every line that has no result yet; the exit status. A device error ends the run: later
  /// lines would meet it again.
  int run(BufferedReader lines) throws IOException {
    try (Session session = model.session()) {
      long number = 0;
      boolean more = true;
      while (more || !pending.isEmpty()) {
        while (more && pending.size() < IN_FLIGHT && (pending.isEmpty() || lines.ready())) {
          String line = lines.readLine();
          more = line != null;
          number++;
          if (more && number > output.lastLine()) {
            submit(session, number, line);
          }
        }
        if (!pending.isEmpty() && isDone(pending.peek(), more && pending.size() < IN_FLIGHT)) {
          if (!write(pending.poll())) {
            return ExitStatus.SOME_LINES_FAILED; // nobody reads on
          }
        }
      }
      return status;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CancellationException("the batch was interrupted");
    } finally {
      progress.end();
    }
  }

  private void submit(Session session, long number, String text) {
    String line =
        number == 1 && text.startsWith(BYTE_ORDER_MARK)
            ? text.substring(BYTE_ORDER_MARK.length())
            : text;
    if (line.isBlank()) {
      return;
    }
    BatchLine.Named named = parser.named(line);
    try {
      Generation generation = session.submit(parser.parse(named));
      pending.add(new Pending(number, named.id(), generation, null));
    } catch (RuntimeException e) {
      if (!ExitStatus.isBadRequest(e)) {
        throw e;
      }
      pending.add(new Pending(number, named.id(), null, ExitStatus.message(e)));
    }
  }

  /// Waits for a result; only a moment if lines may come meanwhile.
  private static boolean isDone(Pending head, boolean lookForLines) throws InterruptedException {
    if (head.generation() == null) {
      return true;
    }
    return head.generation().await(lookForLines ? LOOK_MILLIS : 1000, TimeUnit.MILLISECONDS);
  }

  private boolean write(Pending head) throws IOException, InterruptedException {
    String line;
    int tokens = 0;
    if (head.generation() == null) {
      line = json.errorLine(head.error(), head.line(), head.id());
      status = ExitStatus.SOME_LINES_FAILED;
    } else {
      try {
        GenerateResult result = head.generation().await();
        tokens = result.outputIds().length;
        line = json.line(result, head.line(), head.id());
      } catch (RuntimeException e) {
        line = json.errorLine(ExitStatus.message(e), head.line(), head.id());
        if (!ExitStatus.isOfOneRequest(e)) {
          if (!output.isFile()) { // in a file it would pass for a result
            output.write(line);
          }
          throw e;
        }
        status = ExitStatus.SOME_LINES_FAILED;
      }
    }
    if (!output.isFile()) {
      progress.hide();
    }
    boolean read = output.write(line);
    progress.add(tokens);
    return read;
  }
}
