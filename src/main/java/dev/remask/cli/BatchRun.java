package dev.remask.cli;

import dev.remask.GenerateResult;
import dev.remask.Model;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/// Answers a file of requests, line by line and in order; each result is written at once, so that
/// another program may feed lines and read results in turn.
final class BatchRun {
  /// What some editors write before a file's first line; no JSON may begin with it.
  private static final String BYTE_ORDER_MARK = "\ufeff";

  private final Model model;
  private final BatchLine parser;
  private final ResultJson json;
  private final boolean trace;
  private final PrintStream out;

  BatchRun(Model model, BatchLine parser, ResultJson json, boolean trace, PrintStream out) {
    this.model = model;
    this.parser = parser;
    this.json = json;
    this.trace = trace;
    this.out = out;
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

  /// Answers every line; the exit status. A device error ends the run: later lines would meet it
  /// again.
  int run(BufferedReader lines) throws IOException {
    int status = ExitStatus.DONE;
    long number = 0;
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      number++;
      if (number == 1 && line.startsWith(BYTE_ORDER_MARK)) {
        line = line.substring(BYTE_ORDER_MARK.length());
      }
      if (line.isBlank()) {
        continue;
      }
      try {
        GenerateResult result = model.generate(parser.parse(line));
        out.println(json.line(result, trace));
      } catch (RuntimeException e) {
        out.println(json.errorLine(ExitStatus.message(e), number));
        if (!ExitStatus.isBadRequest(e)) {
          throw e;
        }
        status = ExitStatus.SOME_LINES_FAILED;
      }
      if (out.checkError()) {
        return ExitStatus.SOME_LINES_FAILED; // nobody reads on
      }
    }
    return status;
  }
}
