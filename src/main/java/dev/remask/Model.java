package dev.remask;

import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.LaunchRecorder;
import dev.remask.cuda.Nvtx;
import dev.remask.diffusion.Denoised;
import dev.remask.diffusion.DenoisingTask;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.Engine;
import dev.remask.diffusion.InvalidOptionException;
import dev.remask.diffusion.Likelihood;
import dev.remask.diffusion.StepListener;
import dev.remask.diffusion.Ticket;
import dev.remask.kernel.DType;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.MaskPredictor;
import dev.remask.model.ModelConfig;
import dev.remask.model.Quantization;
import dev.remask.model.WeightMemory;
import dev.remask.model.WorkspaceLimits;
import dev.remask.support.Flight;
import dev.remask.support.Pending;
import dev.remask.text.TextCodec;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;

/// A masked diffusion language model, loaded onto a device and ready to answer.
///
/// Thread-safe: any thread may generate, virtual ones included; requests that are there at the same
/// time are answered together, in passes that they share (see [Session]). Close it to free the
/// device's memory and end its thread; whoever uses it after that gets an `IllegalStateException`.
public final class Model implements AutoCloseable {
  /// Logits are the largest buffer of a large vocabulary: the default of maxRows keeps them below.
  private static final long DEFAULT_LOGITS_BYTES = 256L << 20;

  /// Keys and values of caches, likewise.
  private static final long DEFAULT_CACHE_BYTES = 256L << 20;

  private static final int LEAST_DEFAULT_ROWS = 64;
  private static final String EOT_LITERAL = "<|eot_id|>";
  private static final double NANOS_PER_MS = 1e6;
  private static final long NO_TIMEOUT = 0;

  private final Path folder;
  private final Context context;
  private final MaskPredictor predictor;
  private final Engine engine;
  private final Likelihood likelihood;
  private final Optional<TextCodec> codec;
  private final DType dtype;
  private final Quantization quantization;
  private final double loadMs;
  private final AtomicBoolean closed = new AtomicBoolean();

  private Model(
      Path folder,
      Context context,
      MaskPredictor predictor,
      Engine engine,
      Likelihood likelihood,
      Optional<TextCodec> codec,
      DType dtype,
      Quantization quantization,
      double loadMs) {
    this.folder = folder;
    this.context = context;
    this.predictor = predictor;
    this.engine = engine;
    this.likelihood = likelihood;
    this.codec = codec;
    this.dtype = dtype;
    this.quantization = quantization;
    this.loadMs = loadMs;
  }

  static Model load(Path folder, LoadOptions options) {
    Nvtx.push("load", 0);
    try {
      return loadAndRecord(folder, options);
    } finally {
      Nvtx.pop();
    }
  }

  private static Model loadAndRecord(Path folder, LoadOptions options) {
    Pending recorded = Flight.beginLoad();
    long begin = System.nanoTime();
    ModelConfig config = ModelConfig.read(folder);
    WorkspaceLimits limits = limits(config, options);
    var opened = new CloseStack();
    try {
      Optional<TextCodec> codec = TextCodec.open(folder);
      codec.ifPresent(opened::push);
      long read = System.nanoTime();
      Device device = Device.open(options.device());
      Context context =
          opened.push(
              options
                  .attachment()
                  .map(attachment -> Context.attach(device, attachment))
                  .orElseGet(() -> Context.open(device)));
      long ready = System.nanoTime();
      MaskPredictor predictor =
          opened.push(
              MaskPredictor.load(
                  context,
                  folder,
                  options.dtype(),
                  options.quantization(),
                  limits,
                  options.weightMemory().orElse(null),
                  options.progress()));
      Engine engine = opened.push(Engine.create(context, predictor, specialTokens(config, codec)));
      Likelihood likelihood =
          opened.push(Likelihood.create(context, predictor, engine.tokens(), engine::between));
      long end = System.nanoTime();
      if (recorded != null) {
        Flight.endLoad(
            recorded,
            folder.toString(),
            device.toString(),
            options.dtype().name(),
            predictor.plannedBytes() + engine.plannedBytes() + likelihood.plannedBytes(),
            read - begin,
            ready - read,
            end - ready);
      }
      double loadMs = (end - begin) / NANOS_PER_MS;
      return new Model(
          folder,
          context,
          predictor,
          engine,
          likelihood,
          codec,
          options.dtype(),
          options.quantization(),
          loadMs);
    } catch (Throwable failure) {
      opened.closeAfter(failure);
      throw failure;
    }
  }

  static long requiredBytes(ModelConfig config, LoadOptions options) {
    WorkspaceLimits limits = limits(config, options);
    return MaskPredictor.requiredBytes(config, options.dtype(), options.quantization(), limits)
        + Engine.requiredBytes(config, limits);
  }

  /// Answers a text with default options; see [#generate(GenerateRequest, StepListener)].
  ///
  /// @param prompt a text; goes through the model's chat template where it has one
  /// @return the answer
  public GenerateResult generate(String prompt) {
    return generate(GenerateRequest.of(prompt));
  }

  /// Answers a request; see [#generate(GenerateRequest, StepListener)].
  ///
  /// @param request what is asked
  /// @return the answer
  public GenerateResult generate(GenerateRequest request) {
    return generate(request, null);
  }

  /// Answers a request while `watcherOrNull`, on the calling thread, sees every step.
  ///
  /// Blocks until the answer is there. Interrupting the calling thread ends the generation within a
  /// step with a `CancellationException`, the interrupt status set. Throws [RequestException] for a
  /// bad request, `ModelException` if the model gives no usable logits, `CudaException` if the
  /// device fails, `IllegalStateException` once the model is closed.
  ///
  /// @param request what is asked
  /// @param watcherOrNull gets every step; null: nobody watches
  /// @return the answer
  public GenerateResult generate(GenerateRequest request, StepListener watcherOrNull) {
    return submit(request, request.trace() || watcherOrNull != null).awaitOrCancel(watcherOrNull);
  }

  /// Opens a session, which submits many requests that are answered together.
  ///
  /// @return the session, to be closed
  public Session session() {
    requireOpen();
    return new Session(this);
  }

  /// `log`: somebody may want to see the commits.
  Generation submit(GenerateRequest request, boolean log) {
    requireOpen();
    long begin = System.nanoTime();
    DenoisingTask task = text().task(request);
    try {
      Ticket ticket =
          engine.submit(task, log || request.trace(), request.timeoutMs().orElse(NO_TIMEOUT));
      return new Generation(this, request, task, ticket, begin);
    } catch (InvalidOptionException e) {
      throw RequestText.named(request, e);
    }
  }

  /// Submits requests such that all of them join the same step, as far as there is room.
  List<Generation> submitTogether(List<GenerateRequest> requests, boolean log) {
    requireOpen();
    var generations = new ArrayList<Generation>();
    try {
      engine.between(() -> requests.forEach(request -> generations.add(submit(request, log))));
    } catch (RuntimeException | Error failure) {
      generations.forEach(Generation::cancel);
      throw failure;
    }
    return generations;
  }

  /// Answers requests together, with every kernel of every step launched by itself between two
  /// events, and returns what each launch took: the time of a step, kernel by kernel.
  ///
  /// It is slower than [#generate(GenerateRequest)], whose steps are graphs, and records what other
  /// callers run meanwhile, too. A step begins with the kernel `lay_rows`. Blocks; throws what
  /// [#generate(GenerateRequest)] throws, and IllegalStateException while somebody else profiles.
  ///
  /// @param requests what is asked
  /// @return the launches in the order of the device's work
  public List<LaunchRecorder.Launch> profile(List<GenerateRequest> requests) {
    requireOpen();
    var recorder = new AtomicReference<LaunchRecorder>();
    engine.between(() -> recorder.set(new LaunchRecorder(context, predictor.stream())));
    try {
      List<Generation> generations = submitTogether(requests, false);
      try {
        for (Generation generation : generations) {
          generation.awaitOrCancel(null);
        }
      } finally {
        generations.forEach(Generation::cancel); // nothing where all are answered
      }
      var launches = new ArrayList<LaunchRecorder.Launch>();
      engine.between(() -> launches.addAll(recorder.get().launches()));
      return launches;
    } finally {
      engine.between(recorder.get()::close);
    }
  }

  /// The result that an answer makes.
  GenerateResult result(GenerateRequest request, DenoisingTask task, Denoised answer, long nanos) {
    var timing =
        new GenerateResult.Timing(
            loadMs,
            nanos / NANOS_PER_MS,
            answer.loopNanos() / NANOS_PER_MS / Math.max(1, answer.steps()));
    var finished = new Answer(task, answer.canvas(), answer.outputIds(), specialTokens());
    return new GenerateResult(
        finished.promptIds(),
        answer.outputIds(),
        finished.text(codec),
        finished.finishReason(),
        finished.canvasIds(),
        answer.forwardPasses(),
        request.trace() ? answer.trace() : List.of(),
        device().name(),
        dtype,
        quantization,
        timing);
  }

  /// Scores an answer, or ranks choices; see [#score(List)].
  ///
  /// @param request what is asked
  /// @return the scores
  public ScoreResult score(ScoreRequest request) {
    return score(List.of(request)).getFirst();
  }

  /// Scores answers and ranks choices, of all requests together: as many masked variants go into a
  /// forward pass as the limits of the load allow. Results in the order of the requests; they do
  /// not depend on one another.
  ///
  /// Blocks until all are there; generations go on between the passes. Interrupting the calling
  /// thread ends it after the pass in progress with a `CancellationException`, the interrupt status
  /// set. Throws [RequestException] for a bad request before anything is run, `ModelException` if
  /// the model gives no usable logits, `CudaException` if the device fails, `IllegalStateException`
  /// once the model is closed.
  ///
  /// @param requests what is asked
  /// @return the scores
  public List<ScoreResult> score(List<ScoreRequest> requests) {
    requireOpen();
    return new Scoring(this, likelihood, text()).score(requests);
  }

  /// Ranks choices as answers to a text: [ScoreResult#best] is the index of the likeliest.
  ///
  /// @param prompt a text; goes through the model's chat template where it has one
  /// @param choices the answers to rank
  /// @return the ranking
  public ScoreResult choose(String prompt, String... choices) {
    return score(ScoreRequest.builder().prompt(prompt).choices(List.of(choices)).build());
  }

  private void requireOpen() {
    if (closed.get()) {
      throw new IllegalStateException("the model is closed: " + folder);
    }
  }

  /// {@return the text of an answer's ids, up to the first EOS or EoT; empty if the model has no
  /// tokenizer} With suppress_eos an answer is to fill its length, so there EoT does not end it.
  ///
  /// @param answerIds the ids of an answer
  /// @param options it was made with
  public Optional<String> text(int[] answerIds, DiffusionOptions options) {
    return codec.map(
        c -> c.decode(Answer.beforeEnd(answerIds, options.suppressEos(), specialTokens())));
  }

  /// {@return the model's configuration}
  public ModelConfig config() {
    return predictor.config();
  }

  /// {@return the device it runs on}
  public Device device() {
    return context.device();
  }

  /// {@return the type of its weights and activations}
  public DType dtype() {
    return dtype;
  }

  /// {@return how its matrices are kept}
  public Quantization quantization() {
    return quantization;
  }

  /// {@return its tokenizer, if it has one and the tokenizer library is there}
  public Optional<TextCodec> codec() {
    return codec;
  }

  /// {@return the ids with a meaning; -1 where the model has none}
  public SpecialTokens specialTokens() {
    return engine.tokens();
  }

  /// {@return which matrix multiplication runs, for example `cuBLASLt 13.0` or `own`}
  public String gemmName() {
    return predictor.gemmName();
  }

  /// {@return device memory it holds, all of it planned at load}
  public long plannedBytes() {
    return predictor.plannedBytes() + engine.plannedBytes() + likelihood.plannedBytes();
  }

  /// {@return where its weights are, for another model of the same folder and dtype in the same
  /// CUDA context ([LoadOptions#withWeightMemory]) to use while this one is open}
  public WeightMemory weightMemory() {
    requireOpen();
    return predictor.weightMemory();
  }

  /// {@return time the load took, in milliseconds}
  public double loadMs() {
    return loadMs;
  }

  /// Frees the device's memory and ends the device thread. Generations in flight are cancelled. Any
  /// thread; closing twice is legal.
  ///
  /// Throws `IllegalStateException`, and nothing is closed, inside a step: in a subscriber that the
  /// device thread runs in place.
  @Override
  public void close() {
    engine.requireOutsideStep();
    if (closed.compareAndSet(false, true)) {
      var opened = new CloseStack();
      codec.ifPresent(opened::push);
      opened.push(context);
      opened.push(predictor);
      opened.push(likelihood);
      opened.push(engine);
      opened.close();
    }
  }

  private RequestText text() {
    return new RequestText(codec, folder, specialTokens());
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
    int cache = Math.max(0, options.maxCacheTokens());
    if (options.maxCacheTokens() == 0) {
      long keysAndValues = 2L * config.layers() * config.kvHeads() * config.headDim();
      long fitting = DEFAULT_CACHE_BYTES / (keysAndValues * options.dtype().bytes());
      cache = (int) Math.min(tokens, fitting);
    }
    return new WorkspaceLimits(tokens, rows, options.maxSequences(), cache);
  }
}
