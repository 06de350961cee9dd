package dev.remask.cli;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// One run of the command line inside the test's process, with its own streams, environment and
/// folder. Nothing of the process's environment gets in.
final class CliRun {
  private static final JsonMapper MAPPER = new JsonMapper();

  private final Path folder;
  private final Map<String, String> environment = new HashMap<>();
  private String input = "";
  private boolean terminal;
  private int status = -1;
  private String out = "";
  private String err = "";

  /// Runs in `folder`, which is also where the user's configuration would be.
  CliRun(Path folder) {
    this.folder = folder;
    environment.put("XDG_CONFIG_HOME", folder.resolve("config").toString());
  }

  CliRun with(String variable, String value) {
    environment.put(variable, value);
    return this;
  }

  CliRun input(String text) {
    input = text;
    return this;
  }

  /// As if somebody watched, on a screen of 40 by 12.
  CliRun onTerminal() {
    terminal = true;
    return with("COLUMNS", "40").with("LINES", "12");
  }

  CliRun run(String... arguments) {
    var outBytes = new ByteArrayOutputStream();
    var errBytes = new ByteArrayOutputStream();
    var surroundings =
        new Surroundings(
            new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)),
            new PrintStream(outBytes, false, StandardCharsets.UTF_8),
            new PrintStream(errBytes, false, StandardCharsets.UTF_8),
            environment,
            folder,
            terminal,
            terminal);
    status = new Cli(surroundings, new Interruption(Thread.currentThread())).run(arguments);
    out = outBytes.toString(StandardCharsets.UTF_8);
    err = errBytes.toString(StandardCharsets.UTF_8);
    return this;
  }

  int status() {
    return status;
  }

  String out() {
    return out;
  }

  String err() {
    return err;
  }

  /// The lines of the output as JSON.
  List<JsonNode> json() {
    return out.lines().map(MAPPER::readTree).toList();
  }

  /// For messages of assertions.
  @Override
  public String toString() {
    return "status " + status + "\nout: " + out + "\nerr: " + err;
  }
}
