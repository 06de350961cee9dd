package dev.remask.cli;

import dev.remask.Model;
import dev.remask.ScoreRequest;
import dev.remask.ScoreResult;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Scores a file of requests, in order. Lines that are there already are scored together, so that
/// they share passes; a program that feeds lines one by one gets each result at once.
final class ScoreBatch {
  /// Enough to fill passes; few enough for results to come while the file is read.
  private static final int LINES_TOGETHER = 64;

  private static final String BYTE_ORDER_MARK = "\ufeff";

  private final Model model;
  private final ScoreLine parser;
  private final PrintStream out;
  private final ResultJson errors = new ResultJson();
  private int status = ExitStatus.DONE;

  /// A line: its request, or why it has none.
  private record Line(long number, JsonNode id, ScoreRequest request, RuntimeException failure) {}

  ScoreBatch(Model model, ScoreLine parser, PrintStream out) {
    this.model = model;
    this.parser = parser;
    this.out = out;
  }

  /// Scores every line; the exit status. A device error ends the run: later lines would meet it
  /// again.
  int run(BufferedReader lines) throws IOException {
    long number = 0;
    var waiting = new ArrayList<Line>();
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      number++;
      if (number == 1 && line.startsWith(BYTE_ORDER_MARK)) {
        line = line.substring(BYTE_ORDER_MARK.length());
      }
      if (!line.isBlank()) {
        waiting.add(parse(line, number));
      }
      if (waiting.size() == LINES_TOGETHER || !lines.ready()) {
        score(waiting);
        waiting.clear();
        if (out.checkError()) {
          return ExitStatus.SOME_LINES_FAILED; // nobody reads on
        }
      }
    }
    score(waiting);
    return status;
  }

  private Line parse(String line, long number) {
    try {
      return new Line(number, ScoreLine.id(line), parser.parse(line), null);
    } catch (RuntimeException e) {
      return new Line(number, ScoreLine.id(line), null, e);
    }
  }

  private void score(List<Line> lines) {
    List<ScoreRequest> requests =
        lines.stream().filter(line -> line.failure == null).map(Line::request).toList();
    List<ScoreResult> results;
    try {
      results = requests.isEmpty() ? List.of() : model.score(requests);
    } catch (RuntimeException e) {
      if (!ExitStatus.isOfOneRequest(e)) {
        throw e; // of all of them
      }
      if (lines.size() == 1) {
        tell(lines.getFirst(), e);
        return;
      }
      // One of them is bad: each by itself, so that the others get their scores.
      lines.forEach(line -> score(List.of(line)));
      return;
    }
    int next = 0;
    for (Line line : lines) {
      if (line.failure == null) {
        out.println(withId(results.get(next++).toJson(), line.id));
      } else {
        tell(line, line.failure);
      }
    }
  }

  private static String withId(String json, JsonNode idOrNull) {
    if (idOrNull == null) {
      return json;
    }
    return ((ObjectNode) JsonMapper.shared().readTree(json)).set("id", idOrNull).toString();
  }

  private void tell(Line line, RuntimeException failure) {
    out.println(errors.errorLine(ExitStatus.message(failure), line.number, line.id));
    if (!ExitStatus.isOfOneRequest(failure)) {
      throw failure;
    }
    status = ExitStatus.SOME_LINES_FAILED;
  }
}
