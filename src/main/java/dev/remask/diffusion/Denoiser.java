package dev.remask.diffusion;

import dev.remask.cuda.Context;
import dev.remask.cuda.Stream;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.Batch;
import dev.remask.model.MaskPredictor;
import java.util.List;

/// Denoises packed batches of sequences: the loop of masked diffusion, on device state.
///
/// Prompts, plans and options are uploaded once. One step (mask predictor, selection, commit,
/// advance) is captured as a graph without host arguments and launched again and again; every
/// sequence follows its own plan and is skipped when it is done. No token reaches the host before
/// the end, unless a listener watches. A sequence's tokens do not depend on its neighbours.
///
/// All methods may be called from any thread, virtual ones included: the work is handed to the
/// context's device thread, one batch after the other.
///
/// Rule: LLaDA (ML-GSAI/LLaDA, generate.py), low_confidence and random remasking, temperature 0.
public final class Denoiser implements AutoCloseable {
  private final Context context;
  private final MaskPredictor predictor;
  private final SpecialTokens tokens;
  private final DenoiserMemory memory;
  private final StepGraphs graphs;
  private final StepLoop loop;

  private Denoiser(Context context, MaskPredictor predictor, SpecialTokens tokens) {
    this.context = context;
    this.predictor = predictor;
    this.tokens = tokens;
    memory = new DenoiserMemory(context, predictor.limits(), predictor.config().embeddingSize());
    try {
      loop = new StepLoop(context, predictor.stream());
    } catch (Throwable failure) {
      try {
        memory.close();
      } catch (RuntimeException e) {
        failure.addSuppressed(e);
      }
      throw failure;
    }
    graphs = new StepGraphs(predictor, memory, tokens);
  }

  /// Allocates the loop's memory for the limits that `predictor` was loaded with. The caller keeps
  /// context and predictor, and closes them after the denoiser. `tokens` are the model's ids with a
  /// meaning, -1 for one it does not have.
  ///
  /// Throws CudaException if the memory is not there; nothing stays allocated then.
  public static Denoiser create(Context context, MaskPredictor predictor, SpecialTokens tokens) {
    return context.call(() -> new Denoiser(context, predictor, tokens));
  }

  /// The ids with a meaning, as the sampler uses them.
  public SpecialTokens tokens() {
    return tokens;
  }

  /// Bytes of device memory that the loop holds, beside the predictor's.
  public long plannedBytes() {
    return memory.deviceBytes();
  }

  /// Fills the answers of a batch, at least one; results in the order of `prompts`.
  ///
  /// `watcherOrNull` sees the steps of a batch of exactly one sequence, on the calling thread.
  /// Interrupting the calling thread ends the generation within a few steps
  /// (`CancellationException`, interrupt status set). Throws [InvalidOptionException] if a request
  /// is invalid or the batch exceeds the limits, ModelException if the model gives no usable
  /// logits, CudaException if the device fails; the denoiser stays usable unless the device itself
  /// is lost.
  public List<Denoised> run(
      List<int[]> prompts,
      List<DiffusionOptions> options,
      boolean trace,
      StepListener watcherOrNull) {
    if (prompts.isEmpty() || prompts.size() != options.size()) {
      throw new IllegalArgumentException(
          "one DiffusionOptions for each prompt, at least one: got "
              + prompts.size()
              + " prompts and "
              + options.size()
              + " options");
    }
    if (watcherOrNull != null && prompts.size() != 1) {
      throw new IllegalArgumentException(
          "a listener watches one sequence, got a batch of " + prompts.size());
    }
    for (int i = 0; i < prompts.size(); i++) {
      options.get(i).validate(predictor.config(), tokens, prompts.get(i));
    }
    Packing packing = Packing.of(prompts, options, predictor.limits());
    var watch = new Watch<List<Denoised>>(watcherOrNull);
    context.execute(() -> watch.finish(() -> generate(packing, trace, watch)));
    return watch.await();
  }

  private List<Denoised> generate(Packing packing, boolean trace, Watch<?> watch) {
    Stream stream = predictor.stream();
    try {
      Batch batch = predictor.prepare(packing.lengths, packing.logitsRows);
      StepBuffers buffers = StepBuffers.of(batch);
      var state = new BatchState(memory, packing, buffers, tokens);
      state.upload(stream);
      CapturedStep step = graphs.get(packing, batch);
      WatchedAnswer watched =
          watch.listens() ? new WatchedAnswer(memory, packing, buffers.canvas()) : null;
      long begin = System.nanoTime();
      loop.run(step::launch, packing.passes, watch, watched);
      state.download(stream, trace);
      stream.synchronize();
      return state.results(trace, System.nanoTime() - begin);
    } catch (Throwable failure) {
      // Queued work still uses the loop's memory: it must end before anyone reuses or frees that.
      try {
        stream.synchronize();
      } catch (RuntimeException e) {
        failure.addSuppressed(e);
      }
      throw failure;
    }
  }

  /// Frees graphs, events and memory; waits for a generation in progress.
  @Override
  public void close() {
    context.run(() -> {
      try (memory;
          loop;
          graphs) {
        // closed last to first, each even if another fails
      }
    });
  }
}
