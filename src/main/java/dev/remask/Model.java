package dev.remask;

import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.diffusion.Denoised;
import dev.remask.diffusion.Denoiser;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.InvalidOptionException;
import dev.remask.diffusion.StepListener;
import dev.remask.kernel.DType;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.MaskPredictor;
import dev.remask.model.ModelConfig;
import dev.remask.model.WorkspaceLimits;
import dev.remask.text.TextCodec;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;

/// A masked diffusion language model, loaded onto a device and ready to answer.
///
/// Thread-safe: any thread may generate, virtual ones included; the work is handed to the model's
/// device thread and requests are answered one after the other. Close it to free the device's
/// memory and end its thread; whoever uses it after that gets an `IllegalStateException`.
public final class Model implements AutoCloseable {
  /// Logits are the largest buffer of a large vocabulary: the default of maxRows keeps them below.
  private static final long DEFAULT_LOGITS_BYTES = 256L << 20;

  private static final int LEAST_DEFAULT_ROWS = 64;
  private static final String EOT_LITERAL = "<|eot_id|>";
  private static final double NANOS_PER_MS = 1e6;

  private final Path folder;
  private final Context context;
  private final MaskPredictor predictor;
  private final Denoiser denoiser;
  private final Optional<TextCodec> codec;
  private final DType dtype;
  private final double loadMs;
  private final AtomicBoolean closed = new AtomicBoolean();

  private Model(
      Path folder,
      Context context,
      MaskPredictor predictor,
      Denoiser denoiser,
      Optional<TextCodec> codec,
      DType dtype,
      double loadMs) {
    this.folder = folder;
    this.context = context;
    this.predictor = predictor;
    this.denoiser = denoiser;
    this.codec = codec;
    this.dtype = dtype;
    this.loadMs = loadMs;
  }

  static Model load(Path folder, LoadOptions options) {
    long begin = System.nanoTime();
    ModelConfig config = ModelConfig.read(folder);
    WorkspaceLimits limits = limits(config, options);
    var opened = new CloseStack();
    try {
      Optional<TextCodec> codec = TextCodec.open(folder);
      codec.ifPresent(opened::push);
      Context context = opened.push(Context.open(Device.open(options.device())));
      MaskPredictor predictor =
          opened.push(
              MaskPredictor.load(context, folder, options.dtype(), limits, options.progress()));
      Denoiser denoiser =
          opened.push(Denoiser.create(context, predictor, specialTokens(config, codec)));
      double loadMs = (System.nanoTime() - begin) / NANOS_PER_MS;
      return new Model(folder, context, predictor, denoiser, codec, options.dtype(), loadMs);
    } catch (Throwable failure) {
      opened.closeAfter(failure);
      throw failure;
    }
  }

  /// Answers a text with default options; see [#generate(GenerateRequest, StepListener)].
  public GenerateResult generate(String prompt) {
    return generate(GenerateRequest.of(prompt));
  }

  /// Answers a request; see [#generate(GenerateRequest, StepListener)].
  public GenerateResult generate(GenerateRequest request) {
    return generate(request, null);
  }

  /// Answers a request while `watcherOrNull`, on the calling thread, sees every step.
  ///
  /// Blocks until the answer is there. Interrupting the calling thread ends the generation within a
  /// few steps with a `CancellationException`, the interrupt status set. Throws [RequestException]
  /// for a bad request, `ModelException` if the model gives no usable logits, `CudaException` if
  /// the device fails, `IllegalStateException` once the model is closed.
  public GenerateResult generate(GenerateRequest request, StepListener watcherOrNull) {
    if (closed.get()) {
      throw new IllegalStateException("the model is closed: " + folder);
    }
    long begin = System.nanoTime();
    int[] promptIds = promptIds(request);
    Denoised answer;
    try {
      answer =
          denoiser
              .run(List.of(promptIds), List.of(request.options()), request.trace(), watcherOrNull)
              .getFirst();
    } catch (InvalidOptionException e) {
      throw new RequestException(e.field(), e.getMessage());
    }
    var timing =
        new GenerateResult.Timing(
            loadMs,
            (System.nanoTime() - begin) / NANOS_PER_MS,
            answer.loopNanos() / NANOS_PER_MS / answer.steps());
    return new GenerateResult(
        promptIds,
        answer.outputIds(),
        text(answer.outputIds(), request.options()),
        answer.forwardPasses(),
        answer.trace(),
        device().name(),
        dtype,
        timing);
  }

  /// The text of an answer's ids, up to the first EOS or EoT; empty if the model has no tokenizer.
  /// With suppress_eos an answer is to fill its length, so there EoT does not end it.
  public Optional<String> text(int[] answerIds, DiffusionOptions options) {
    return codec.map(c -> c.decode(beforeEnd(answerIds, options.suppressEos())));
  }

  /// The model's configuration.
  public ModelConfig config() {
    return predictor.config();
  }

  /// The device it runs on.
  public Device device() {
    return context.device();
  }

  /// The type of its weights and activations.
  public DType dtype() {
    return dtype;
  }

  /// Its tokenizer, if it has one and the tokenizer library is there.
  public Optional<TextCodec> codec() {
    return codec;
  }

  /// The ids with a meaning; -1 where the model has none.
  public SpecialTokens specialTokens() {
    return denoiser.tokens();
  }

  /// Which matrix multiplication runs, for example `cuBLASLt 13.0` or `own`.
  public String gemmName() {
    return predictor.operations().gemmName();
  }

  /// Device memory it holds, all of it planned at load.
  public long plannedBytes() {
    return predictor.plannedBytes() + denoiser.plannedBytes();
  }

  /// Time the load took, in milliseconds.
  public double loadMs() {
    return loadMs;
  }

  /// Frees the device's memory and ends the device thread; waits for a generation in progress. Any
  /// thread; closing twice is legal.
  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      var opened = new CloseStack();
      codec.ifPresent(opened::push);
      opened.push(context);
      opened.push(predictor);
      opened.push(denoiser);
      opened.close();
    }
  }

  private int[] promptIds(GenerateRequest request) {
    if (request.promptIds().isPresent()) {
      return request.promptIds().get();
    }
    TextCodec text =
        codec.orElseThrow(() -> {
          String field = request.prompt().isPresent() ? "prompt" : "messages";
          String reason = TextCodec.whyAbsent(folder).orElse("the model has no tokenizer");
          return new RequestException(
              field, field + " needs a tokenizer, but " + reason + "; use prompt_ids");
        });
    return RequestText.encode(text, request);
  }

  private int[] beforeEnd(int[] answerIds, boolean pastTurns) {
    SpecialTokens tokens = denoiser.tokens();
    for (int i = 0; i < answerIds.length; i++) {
      // An id of -1 (none) equals no answer's id.
      if (answerIds[i] == tokens.eos() || (answerIds[i] == tokens.eot() && !pastTurns)) {
        return Arrays.copyOf(answerIds, i);
      }
    }
    return answerIds;
  }

  private static SpecialTokens specialTokens(ModelConfig config, Optional<TextCodec> codec) {
    int eot = config.eotTokenId();
    if (codec.isPresent()) {
      eot = codec.get().idOf(EOT_LITERAL).orElse(eot);
    }
    return new SpecialTokens(config.vocabSize(), config.maskTokenId(), config.eosTokenId(), eot);
  }

  private static WorkspaceLimits limits(ModelConfig config, LoadOptions options) {
    int tokens = options.maxTokens();
    if (tokens == 0) {
      tokens = Math.multiplyExact(2, config.maxSequenceLength());
    }
    int rows = options.maxRows();
    if (rows == 0) {
      long fitting = DEFAULT_LOGITS_BYTES / (Float.BYTES * (long) config.embeddingSize());
      rows = (int) Math.min(tokens, Math.max(LEAST_DEFAULT_ROWS, fitting));
    }
    return new WorkspaceLimits(tokens, rows, options.maxSequences());
  }
}
