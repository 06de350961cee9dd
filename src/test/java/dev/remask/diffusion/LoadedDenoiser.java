package dev.remask.diffusion;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceSpec;
import dev.remask.kernel.Architecture;
import dev.remask.kernel.DType;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.MaskPredictor;
import dev.remask.model.ModelConfig;
import dev.remask.model.ProgressListener;
import dev.remask.model.WorkspaceLimits;
import dev.remask.testing.TestDevices;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;

/// A checkpoint loaded for denoising, without the facade.
final class LoadedDenoiser implements AutoCloseable {
  /// `<|eot_id|>` of tiny-llada's tokenizer; its config.json does not name it.
  private static final int TINY_EOT = 2046;

  private static final String KERNELS = "remask.kernels";

  static final WorkspaceLimits LIMITS = new WorkspaceLimits(1024, 512, 32, 1024);

  final Context context;
  final MaskPredictor predictor;
  final Denoiser denoiser;

  private LoadedDenoiser(Context context, MaskPredictor predictor, Denoiser denoiser) {
    this.context = context;
    this.predictor = predictor;
    this.denoiser = denoiser;
  }

  static LoadedDenoiser open(DeviceSpec device, DType dtype, GoldenCases.GoldenModel model) {
    return open(device, dtype, model.checkpoint());
  }

  /// The same with one family of kernels, as `REMASK_KERNELS` asks for it.
  static LoadedDenoiser open(
      DeviceSpec device, DType dtype, GoldenCases.GoldenModel model, Architecture family) {
    System.setProperty(KERNELS, family.toString());
    try {
      return open(device, dtype, model);
    } finally {
      System.clearProperty(KERNELS);
    }
  }

  static LoadedDenoiser open(DeviceSpec device, DType dtype, Path folder) {
    Context context = TestDevices.newContext(device);
    try {
      MaskPredictor predictor =
          MaskPredictor.load(context, folder, dtype, LIMITS, ProgressListener.NONE);
      return new LoadedDenoiser(
          context, predictor, Denoiser.create(context, predictor, tokens(predictor.config())));
    } catch (Throwable failure) {
      context.close();
      throw failure;
    }
  }

  static SpecialTokens tokens(ModelConfig config) {
    int eot = config.eotTokenId() >= 0 ? config.eotTokenId() : TINY_EOT;
    return new SpecialTokens(config.vocabSize(), config.maskTokenId(), config.eosTokenId(), eot);
  }

  Denoised run(int[] prompt, DiffusionOptions options, boolean trace) {
    return run(DenoisingTask.ofPrompt(prompt, options), trace);
  }

  Denoised run(DenoisingTask task, boolean trace) {
    return denoiser.run(List.of(task), trace, null).getFirst();
  }

  List<Denoised> run(
      List<int[]> prompts,
      List<DiffusionOptions> options,
      boolean trace,
      StepListener watcherOrNull) {
    List<DenoisingTask> tasks =
        IntStream.range(0, prompts.size())
            .mapToObj(i -> DenoisingTask.ofPrompt(prompts.get(i), options.get(i)))
            .toList();
    return denoiser.run(tasks, trace, watcherOrNull);
  }

  @Override
  public void close() {
    try (context;
        predictor;
        denoiser) {
      // closed last to first
    }
  }
}
