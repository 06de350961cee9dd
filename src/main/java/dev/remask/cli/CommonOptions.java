package dev.remask.cli;

import dev.remask.LoadOptions;
import dev.remask.Model;
import dev.remask.Remask;
import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.DType;
import dev.remask.model.ProgressListener;
import dev.remask.model.Quantization;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Option;

/// The flags that every command has: which model, on which device, in which type.
final class CommonOptions {
  private static final long PROGRESS_INTERVAL_NANOS = 400_000_000;

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = {
        "Model folder as Hugging Face stores it: config.json, safetensors, tokenizer.",
        "(default: the built-in tiny-llada, 4.5 M parameters)"
      })
  private Path folder;

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      defaultValue = "auto",
      description = {
        "auto, cuda, cuda:<n>, software or emulator; auto takes an NVIDIA GPU if there is one, else"
            + " the CPU (software). (default: ${DEFAULT-VALUE})"
      })
  private DeviceSpec device;

  @Option(
      names = "--dtype",
      paramLabel = "TYPE",
      defaultValue = "bf16",
      description =
          "bf16 or f32: type of weights and activations; sums are f32 in both. f32 takes twice the"
              + " memory. (default: ${DEFAULT-VALUE})")
  private DType dtype;

  @Option(
      names = "--quantize",
      paramLabel = "HOW",
      defaultValue = "none",
      description =
          "none or int8: int8 keeps the weights' matrices as 8-bit integers with a scale for each"
              + " output, about half the memory of bf16; answers may differ. (default:"
              + " ${DEFAULT-VALUE})")
  private Quantization quantization;

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      defaultValue = "0",
      description =
          "Memory for N tokens in one pass, of all requests that share it, a copy for --cfg-scale"
              + " included; 0: twice the model's max_sequence_length. (default: ${DEFAULT-VALUE})")
  private int maxTokens;

  @Option(
      names = "--max-rows",
      paramLabel = "N",
      defaultValue = "0",
      description =
          "Memory for N rows of logits in one pass: a block for each request and each copy; 0: as"
              + " many as 256 MiB hold. (default: ${DEFAULT-VALUE})")
  private int maxRows;

  @Option(
      names = "--max-sequences",
      paramLabel = "N",
      defaultValue = "" + LoadOptions.DEFAULT_MAX_SEQUENCES,
      description =
          "Requests that share a pass, copies counted; at least 2. (default: ${DEFAULT-VALUE})")
  private int maxSequences;

  @Option(
      names = "--max-cache-tokens",
      paramLabel = "N",
      defaultValue = "0",
      description =
          "Memory for --cache: positions whose keys and values are kept, of all requests together;"
              + " 0: as many as 256 MiB hold. (default: ${DEFAULT-VALUE})")
  private int maxCacheTokens;

  @Option(
      names = "--verbose",
      description = "Show where an error comes from (a stack trace); also REMASK_DEBUG=1.")
  private boolean verbose;

  boolean verbose() {
    return verbose;
  }

  DeviceSpec device() {
    return device;
  }

  DType dtype() {
    return dtype;
  }

  /// The model folder that was asked for, if one was.
  Optional<Path> folder() {
    return Optional.ofNullable(folder);
  }

  /// The model folder to use.
  Path folder(Surroundings surroundings) {
    return folder().map(surroundings.folder()::resolve).orElseGet(Remask::defaultModel);
  }

  /// How it is to be loaded.
  LoadOptions options() {
    return LoadOptions.defaults()
        .withDevice(device)
        .withDType(dtype)
        .withQuantization(quantization)
        .withMaxTokens(maxTokens)
        .withMaxRows(maxRows)
        .withMaxSequences(maxSequences)
        .withMaxCacheTokens(maxCacheTokens);
  }

  /// Loads the model; a load that takes longer is reported on a terminal.
  Model load(Surroundings surroundings) {
    Path chosen = folder(surroundings);
    LoadOptions options = options();
    if (!surroundings.errIsTerminal()) {
      return Remask.load(chosen, options);
    }
    var progress = new LoadProgress(surroundings.err());
    try {
      return Remask.load(chosen, options.withProgress(progress));
    } finally {
      progress.clear();
    }
  }

  private static final class LoadProgress implements ProgressListener {
    private final PrintStream err;
    private long nextNanos = System.nanoTime() + PROGRESS_INTERVAL_NANOS;
    private volatile boolean shown;

    LoadProgress(PrintStream err) {
      this.err = err;
    }

    @Override
    public void onProgress(long bytesDone, long bytesTotal) {
      long now = System.nanoTime();
      if (now < nextNanos) {
        return;
      }
      nextNanos = now + PROGRESS_INTERVAL_NANOS;
      err.print("\rloading the model: " + 100 * bytesDone / Math.max(1, bytesTotal) + " %");
      err.flush();
      shown = true;
    }

    void clear() {
      if (shown) {
        err.print("\r" + Ansi.CLEAR_LINE);
        err.flush();
      }
    }
  }
}
