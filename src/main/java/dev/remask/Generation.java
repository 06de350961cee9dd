package dev.remask;

import dev.remask.diffusion.Denoised;
import dev.remask.diffusion.DenoisingTask;
import dev.remask.diffusion.StepEvent;
import dev.remask.diffusion.StepListener;
import dev.remask.diffusion.Ticket;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Executor;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;

/// A request that has been submitted to a [Session]: on its way, running, or over.
///
/// Any thread, virtual ones included; several may wait for one generation.
///
/// ```java
/// Generation generation = session.submit(GenerateRequest.of("What is 47 + 38?"));
/// generation.events(executor).subscribe(subscriber); // or generation.await(listener)
/// GenerateResult result = generation.await();
/// ```
public final class Generation {
  private final Model model;
  private final GenerateRequest request;
  private final DenoisingTask task;
  private final Ticket ticket;
  private final long beginNanos;

  Generation(
      Model model, GenerateRequest request, DenoisingTask task, Ticket ticket, long beginNanos) {
    this.model = model;
    this.request = request;
    this.task = task;
    this.ticket = ticket;
    this.beginNanos = beginNanos;
  }

  /// {@return what was asked}
  public GenerateRequest request() {
    return request;
  }

  /// {@return what the positions of the events count in, as it was at the beginning: the answer's
  /// gen_length masks (an answer of automatic length may become longer), or the canvas that was
  /// given; [GenerateRequest#MASK] at each masked position} A copy.
  public int[] initialIds() {
    if (task.isCanvas()) {
      return task.ids();
    }
    int[] ids = new int[task.options().genLength()];
    Arrays.fill(ids, GenerateRequest.MASK);
    return ids;
  }

  /// {@return whether it is over, well or not}
  public boolean isDone() {
    return ticket.isDone();
  }

  /// Asks for its end and returns; it takes effect within one step, and its place is free for
  /// others then. Does nothing if it is over.
  public void cancel() {
    ticket.cancel();
  }

  /// Waits for the answer; interrupting the wait leaves the generation alone.
  ///
  /// Throws `CancellationException` if it was cancelled or the model closed,
  /// `DeadlineExceededException` if its time was over, `CudaException` if the device failed,
  /// `ModelException` if the model gave no usable logits.
  ///
  /// @return the answer
  /// @throws InterruptedException if the waiting thread is interrupted
  public GenerateResult await() throws InterruptedException {
    return result(ticket.await());
  }

  /// The same, while `listener`, on this thread, gets every event from the first on, in order. A
  /// slow listener loses nothing and delays nobody. What it throws cancels the generation and is
  /// thrown here.
  ///
  /// @param listener gets every event
  /// @return the answer
  /// @throws InterruptedException if the waiting thread is interrupted
  public GenerateResult await(StepListener listener) throws InterruptedException {
    return result(ticket.await(Objects.requireNonNull(listener, "listener")));
  }

  /// Waits at most so long; true if it is over.
  ///
  /// @param time how long, in units
  /// @param unit of the time
  /// @return whether it is over
  /// @throws InterruptedException if the waiting thread is interrupted
  public boolean await(long time, TimeUnit unit) throws InterruptedException {
    return ticket.await(time, unit);
  }

  /// The events, from the first on, to any number of subscribers at any time, on the threads of
  /// `executor`. A slow subscriber loses nothing and delays nobody. A generation that is cancelled
  /// or fails ends with onError.
  ///
  /// An executor that runs its tasks in place runs them on the device thread, which everybody then
  /// waits for: give it threads of its own, for example virtual ones.
  ///
  /// @param executor runs the subscribers
  /// @return for any number of subscribers
  public Flow.Publisher<StepEvent> events(Executor executor) {
    Objects.requireNonNull(executor, "executor");
    return subscriber ->
        ticket.subscribe(Objects.requireNonNull(subscriber, "subscriber"), executor);
  }

  /// Waits as [#await()] does; an interrupt cancels the generation.
  GenerateResult awaitOrCancel(StepListener listenerOrNull) {
    try {
      return listenerOrNull == null ? await() : await(listenerOrNull);
    } catch (InterruptedException e) {
      cancel();
      ticket.awaitEnd();
      Thread.currentThread().interrupt();
      throw new CancellationException("the generation was cancelled: its thread was interrupted");
    } catch (RuntimeException | Error failure) {
      // Of a listener, perhaps: nothing is left running behind the caller.
      cancel();
      ticket.awaitEnd();
      throw failure;
    }
  }

  private GenerateResult result(Denoised answer) {
    return model.result(request, task, answer, ticket.endNanos() - beginNanos);
  }

  void awaitEnd() {
    ticket.awaitEnd();
  }
}
