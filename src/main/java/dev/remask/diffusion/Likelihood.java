package dev.remask.diffusion;

import dev.remask.cuda.Context;
import dev.remask.cuda.Nvtx;
import dev.remask.cuda.Stream;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.MaskPredictor;
import dev.remask.support.Flight;
import dev.remask.support.Pending;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.function.Consumer;

/// How likely answers are: cross entropies of masked positions, from which a [ScoreMethod] makes a
/// score. Masked answers of all tasks are packed into forward passes as the limits allow; a score
/// does not depend on what it is packed with.
///
/// Any thread, virtual ones included: each pass is one piece of work for the device thread, so that
/// generations go on between them. Positions of a score keep all columns in the softmax's sum, as
/// the reference does: the loss is log(1 + odds against the token).
///
/// Rule: LLaDA, get_log_likelihood.py.
public final class Likelihood implements AutoCloseable {
  private final MaskPredictor predictor;
  private final SpecialTokens tokens;
  private final ScoreRules rules;
  private final ScoreMemory memory;
  private final Context context;
  private final Consumer<Runnable> turns;

  private Likelihood(
      Context context, MaskPredictor predictor, SpecialTokens tokens, Consumer<Runnable> turns) {
    this.context = context;
    this.predictor = predictor;
    this.tokens = tokens;
    this.turns = turns;
    rules = new ScoreRules(predictor.config(), tokens, predictor.limits());
    memory = new ScoreMemory(context, predictor.limits(), predictor.config().embeddingSize());
  }

  /// Allocates what scoring needs for the limits that `predictor` was loaded with: some kilobytes,
  /// and two rows of logits on the host. The caller keeps context and predictor, and closes them
  /// later. `turns` runs a piece of work on the device thread when that is free, waits for it, and
  /// throws what it threw: `context::run`, unless others share the predictor in turns.
  ///
  /// Throws CudaException if the memory is not there; nothing stays allocated then.
  public static Likelihood create(
      Context context, MaskPredictor predictor, SpecialTokens tokens, Consumer<Runnable> turns) {
    return context.call(() -> new Likelihood(context, predictor, tokens, turns));
  }

  /// Bytes of device memory that it holds, beside the predictor's.
  public long plannedBytes() {
    return memory.deviceBytes();
  }

  /// Throws [InvalidOptionException], naming field, rule and value, if the task cannot be scored.
  public void validate(ScoreTask task) {
    rules.check(task);
  }

  /// Scores tasks; results in their order.
  ///
  /// Interrupting the calling thread ends it after the pass in progress (`CancellationException`,
  /// interrupt status set). Throws [InvalidOptionException] for a task that cannot be scored,
  /// before anything is run, ModelException if the model gives no usable logits, CudaException if
  /// the device fails.
  public List<AnswerScore> score(List<ScoreTask> tasks) {
    tasks.forEach(rules::check);
    Pending recorded = Flight.beginScore();
    long range = Nvtx.start("score");
    try {
      return computed(tasks, recorded);
    } finally {
      Nvtx.end(range);
    }
  }

  private List<AnswerScore> computed(List<ScoreTask> tasks, Pending recordedOrNull) {
    var all = new ArrayList<ScoreTerms>();
    var terms = new ArrayList<MaskedAnswer>();
    for (ScoreTask task : tasks) {
      ScoreTerms own = ScoreTerms.of(task);
      all.add(own);
      terms.addAll(own.terms());
    }
    List<double[]> losses = losses(terms);
    var scores = new ArrayList<AnswerScore>();
    int first = 0;
    for (ScoreTerms own : all) {
      scores.add(own.score(losses, first));
      first += own.terms().size();
    }
    if (recordedOrNull != null) {
      int passes = ScorePacking.of(terms, predictor.limits()).size();
      Flight.endScore(recordedOrNull, tasks.size(), terms.size(), passes);
    }
    return scores;
  }

  /// −ln p of every masked token of every answer, in the order of its `masked`.
  private List<double[]> losses(List<MaskedAnswer> answers) {
    var losses = new ArrayList<double[]>();
    for (MaskedAnswer answer : answers) {
      losses.add(new double[answer.masked().length]);
    }
    for (List<ScorePacking.Part> parts : ScorePacking.of(answers, predictor.limits())) {
      if (Thread.interrupted()) {
        Thread.currentThread().interrupt();
        throw new CancellationException("the scoring was cancelled: its thread was interrupted");
      }
      turns.accept(() -> pass(answers, parts, losses));
    }
    return losses;
  }

  private void pass(
      List<MaskedAnswer> answers, List<ScorePacking.Part> parts, List<double[]> losses) {
    Stream stream = predictor.stream();
    try {
      new ScorePass(predictor, memory, tokens, answers, parts).run(stream, losses);
    } catch (Throwable failure) {
      // Queued work still uses the memory: it must end before anyone reuses or frees that.
      try {
        stream.synchronize();
      } catch (RuntimeException e) {
        failure.addSuppressed(e);
      }
      throw failure;
    }
  }

  /// Frees its memory. Any thread.
  @Override
  public void close() {
    context.run(memory::close);
  }
}
