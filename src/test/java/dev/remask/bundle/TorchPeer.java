package dev.remask.bundle;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// PyTorch in a process beside ours, which times what it is sent: so both take turns on the same
/// card, benchmark by benchmark. `baselines/kernels.py` is the other side.
final class TorchPeer implements AutoCloseable {
  private static final JsonMapper MAPPER = JsonMapper.shared();

  private final Process process;
  private final BufferedWriter requests;
  private final BufferedReader answers;
  private final JsonNode greeting;

  private TorchPeer(Process process) throws IOException {
    this.process = process;
    requests = process.outputWriter();
    answers = process.inputReader();
    greeting = answer();
  }

  /// A peer by the Python of `REMASK_PYTHON`, else `python3` of the path; none where that has no
  /// PyTorch that uses the GPU (a CPU will do when `anyDevice`).
  static Optional<TorchPeer> start(Path root, boolean anyDevice) {
    Path script = root.resolve("baselines/kernels.py");
    String python = System.getenv().getOrDefault("REMASK_PYTHON", "python3");
    if (!Files.exists(script)) {
      return Optional.empty();
    }
    try {
      var builder = new ProcessBuilder(List.of(python, script.toString()));
      builder.redirectError(ProcessBuilder.Redirect.DISCARD);
      var peer = new TorchPeer(builder.start());
      String device = peer.greeting.path("device").asString("");
      if (device.equals("cuda") || (anyDevice && device.equals("cpu"))) {
        return Optional.of(peer);
      }
      peer.close();
    } catch (IOException e) {
      // No such Python, or one without PyTorch: the report then has no such column.
      return Optional.empty();
    }
    return Optional.empty();
  }

  /// Its versions of PyTorch, CUDA and cuDNN.
  JsonNode greeting() {
    return greeting;
  }

  /// The times of what `request` describes, as an array of objects, or an error in words.
  JsonNode time(ObjectNode request) throws IOException {
    requests.write(MAPPER.writeValueAsString(request) + "\n");
    requests.flush();
    return answer();
  }

  private JsonNode answer() throws IOException {
    String line = answers.readLine();
    if (line == null) {
      throw new IOException("Python has ended");
    }
    return MAPPER.readTree(line);
  }

  @Override
  public void close() {
    process.destroy();
  }
}
