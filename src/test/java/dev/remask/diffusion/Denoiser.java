package dev.remask.diffusion;

import dev.remask.cuda.Context;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.MaskPredictor;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;

/// Denoises lists of tasks, each list to its end, on an [Engine] of its own.
///
/// All methods may be called from any thread, virtual ones included.
final class Denoiser implements AutoCloseable {
  private final Engine engine;

  private Denoiser(Engine engine) {
    this.engine = engine;
  }

  /// See [Engine#create].
  static Denoiser create(Context context, MaskPredictor predictor, SpecialTokens tokens) {
    return new Denoiser(Engine.create(context, predictor, tokens));
  }

  /// What does the work.
  Engine engine() {
    return engine;
  }

  /// The ids with a meaning, as the sampler uses them.
  SpecialTokens tokens() {
    return engine.tokens();
  }

  /// Bytes of device memory that the loop holds, beside the predictor's.
  long plannedBytes() {
    return engine.plannedBytes();
  }

  /// Fills the answers of tasks, at least one; results in their order. Those that do not fit beside
  /// the others wait for a place.
  ///
  /// `watcherOrNull` sees the steps of exactly one task, on the calling thread. Interrupting the
  /// calling thread cancels them all within a step (`CancellationException`, interrupt status set).
  /// Throws [InvalidOptionException] if a task is invalid or too large, ModelException if the model
  /// gives no usable logits, CudaException if the device fails; it stays usable unless the device
  /// itself is lost.
  List<Denoised> run(List<DenoisingTask> tasks, boolean trace, StepListener watcherOrNull) {
    if (tasks.isEmpty() || watcherOrNull != null && tasks.size() != 1) {
      throw new IllegalArgumentException(
          "at least one task, and exactly one with a listener: got " + tasks.size());
    }
    var tickets = new ArrayList<Ticket>(tasks.size());
    boolean log = trace || watcherOrNull != null;
    try {
      // Between two steps, so that as many as fit begin with the same one.
      engine.between(() -> tasks.forEach(task -> tickets.add(engine.submit(task, log, 0))));
      var results = new ArrayList<Denoised>(tasks.size());
      for (Ticket ticket : tickets) {
        results.add(watcherOrNull == null ? ticket.await() : ticket.await(watcherOrNull));
      }
      return results;
    } catch (InterruptedException e) {
      cancelAll(tickets);
      Thread.currentThread().interrupt();
      throw new CancellationException("the generation was cancelled: its thread was interrupted");
    } catch (RuntimeException | Error failure) {
      cancelAll(tickets);
      throw failure;
    }
  }

  private static void cancelAll(List<Ticket> tickets) {
    tickets.forEach(Ticket::cancel);
    tickets.forEach(Ticket::awaitEnd);
  }

  /// Cancels what is in flight and frees the memory.
  @Override
  public void close() {
    engine.close();
  }
}
