package dev.remask;

import dev.remask.kernel.DType;
import dev.remask.model.ModelConfig;
import dev.remask.model.Quantization;
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
    return weightBytes(folder, dtype, Quantization.NONE);
  }

  /// {@return the same for a model that is loaded with `quantization`} Throws `ModelException`.
  ///
  /// @param folder the model's folder
  /// @param dtype the type of the loaded weights
  /// @param quantization how its matrices are kept
  public static long weightBytes(Path folder, DType dtype, Quantization quantization) {
    return Weights.requiredBytes(ModelConfig.read(folder), dtype, quantization);
  }

  /// {@return device memory that a model of this configuration holds once it is loaded so, in
  /// bytes: what [Model#plannedBytes] will be, but for the some 32 MiB that a cuBLASLt works in}
  /// Nothing is read or allocated.
  ///
  /// @param config what a model folder's config.json says
  /// @param options type and limits
  public static long requiredBytes(ModelConfig config, LoadOptions options) {
    return Model.requiredBytes(config, options);
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
