package dev.remask.model;

import dev.remask.Remask;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/// The model folders that tests use, found as class-path resources.
final class TestModels {
  private TestModels() {}

  /// The default model: trained, bf16, head_dim 128.
  static Path tinyLlada() {
    return Remask.defaultModel();
  }

  /// Random f32 weights, head_dim 64, two query heads over one key head, vocabulary 500 of 512.
  static Path micro() {
    return resource("/golden/micro/config.json").getParent();
  }

  /// Logits of the official implementation, computed in f64.
  static Path goldenLogits(String model) {
    return resource("/golden/" + model + "/cases/logits.safetensors");
  }

  /// A copy that a test may damage.
  static Path copy(Path model, Path to) throws IOException {
    Files.createDirectories(to);
    try (Stream<Path> files = Files.list(model)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, to.resolve(file.getFileName().toString()));
      }
    }
    return to;
  }

  private static Path resource(String name) {
    URL url = TestModels.class.getResource(name);
    if (url == null) {
      throw new IllegalStateException("no resource " + name);
    }
    try {
      return Path.of(url.toURI());
    } catch (URISyntaxException e) {
      throw new UncheckedIOException(new IOException(e));
    }
  }
}
