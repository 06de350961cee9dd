package dev.remask;

import dev.remask.kernel.DType;
import dev.remask.model.ModelConfig;
import dev.remask.model.Weights;
import java.nio.file.Path;

/// The entry point: loads models.
///
/// ```java
/// try (Model model = Remask.load(Remask.defaultModel())) {
///   System.out.println(model.generate("What is 47 + 38?").text().orElseThrow());
/// }
/// ```
public final class Remask {
  private Remask() {}

  /// Loads a model folder with default options. See [#load(Path, LoadOptions)].
  ///
  /// @param folder the model's folder
  /// @return the open model
  public static Model load(Path folder) {
    return load(folder, LoadOptions.defaults());
  }

  /// Loads a model folder in Hugging Face's layout (config.json, safetensors; a tokenizer is
  /// optional) onto a device. The model owns a device thread and all its memory until it is closed;
  /// several models may be open in one JVM. A load that fails leaves nothing behind.
  ///
  /// Any thread; returns when the weights are on the device. Throws `ModelException` (the folder),
  /// `CudaException` (the device), [RequestException] (the options).
  ///
  /// @param folder the model's folder
  /// @param options device, type and limits
  /// @return the open model
  public static Model load(Path folder, LoadOptions options) {
    return Model.load(folder, options);
  }

  /// {@return device memory that the weights of a model folder take in `dtype`, in bytes: what a
  /// caller who gives memory for them ([LoadOptions#withWeightMemory]) has to allocate} Throws
  /// `ModelException`.
  ///
  /// @param folder the model's folder
  /// @param dtype the type of the loaded weights
  public static long weightBytes(Path folder, DType dtype) {
    return Weights.requiredBytes(ModelConfig.read(folder), dtype);
  }

  /// {@return the folder of the model that comes with the library (tiny-llada, 4.5 M parameters:
  /// small arithmetic, sorting, capitals), unpacked into the cache on first use} Any thread, any
  /// process.
  ///
  /// The cache is the folder of the native libraries: `REMASK_CACHE`, else
  /// `$XDG_CACHE_HOME/remask`, else `~/.cache/remask`. Throws `UncheckedIOException` if it cannot
  /// be written.
  public static Path defaultModel() {
    return DefaultModel.unpacked();
  }
}
