package dev.remask.sidebyside;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// PyTorch in a process beside ours: `jmh/baselines/generate.py --serve`, which runs and times what
/// it is sent, a line of JSON for a line of JSON.
final class PythonPeer implements AutoCloseable {
  private static final JsonMapper MAPPER = JsonMapper.shared();

  private final Process process;
  private final BufferedWriter requests;
  private final BufferedReader answers;
  private final JsonNode greeting;

  /// Starts the Python and waits until its model is loaded.
  ///
  /// Throws IOException if it ends before, what it printed on standard error is the caller's.
  PythonPeer(String python, Path script, List<String> arguments, int threads, boolean passive)
      throws IOException {
    var command = new ArrayList<>(List.of(python, "-W", "ignore", script.toString(), "--serve"));
    command.addAll(arguments);
    command.addAll(List.of("--threads", String.valueOf(threads)));
    var builder = new ProcessBuilder(command);
    builder.redirectError(ProcessBuilder.Redirect.INHERIT);
    builder.environment().put("OMP_NUM_THREADS", String.valueOf(threads));
    builder.environment().remove("GOMP_SPINCOUNT"); // ours, not theirs
    if (passive) {
      builder.environment().put("OMP_WAIT_POLICY", "passive");
    }
    process = builder.start();
    requests = process.outputWriter();
    answers = process.inputReader();
    greeting = answer();
  }

  /// What it is: PyTorch's version, device, dtype, threads, whose code.
  String description() {
    return greeting.get("description").asString();
  }

  JsonNode ask(ObjectNode request) throws IOException {
    requests.write(MAPPER.writeValueAsString(request) + "\n");
    requests.flush();
    return answer();
  }

  private JsonNode answer() throws IOException {
    String line = answers.readLine();
    if (line == null) {
      throw new IOException("Python has ended; what it said stands above");
    }
    return MAPPER.readTree(line);
  }

  @Override
  public void close() {
    process.destroy();
  }
}
