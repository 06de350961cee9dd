package dev.remask.model;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.kernel.Weight;
import java.util.concurrent.Callable;

/// A packed pass that is ready to run: where its rows are named and its logits come out.
///
/// The buffers are views of the predictor's workspace, valid until the next `prepare` or the
/// predictor's close. Queries and rows are padded: padding queries belong to no sequence and reach
/// no result; `prepare` has zeroed the row index, so that padding rows repeat packed index 0. The
/// kernels check neither the canvas's ids, which must lie below the model's embedding_size, nor the
/// packed indices that the caller puts into the row index, which must lie below
/// [PassShape#queries].
///
/// A sequence's logits are the same bits in every pass: on the software device always, elsewhere
/// with `REMASK_GEMM=own`, since cuBLASLt chooses its algorithms by the number of rows.
public final class Batch {
  private final MaskPredictor predictor;
  private final ForwardPass launches;
  private final PassShape shape;
  // Kept, so that forward() allocates nothing.
  private final Callable<Void> pass = this::enqueue;
  private final Callable<Void> hiddenPass = this::enqueueHidden;

  Batch(MaskPredictor predictor, ForwardPass launches, PassShape shape) {
    this.predictor = predictor;
    this.launches = launches;
    this.shape = shape;
  }

  /// Enqueues the forward pass on the predictor's stream and returns.
  ///
  /// Reads canvas, row index and, of cached sequences, the cache; writes the cache and the logits:
  /// row r holds those of the packed index `rowIndex[r]`. Allocates nothing, copies nothing from or
  /// to the host: it can be captured into a graph. Any thread; throws IllegalStateException once
  /// another pass was prepared.
  public void forward() {
    predictor.context().call(pass);
  }

  /// The same without the product that gives the logits, which are left as they are: for what
  /// computes them itself, from [#hidden] and [#head].
  public void forwardHidden() {
    predictor.context().call(hiddenPass);
  }

  private Void enqueue() {
    requireCurrent();
    launches.enqueue();
    return null;
  }

  private Void enqueueHidden() {
    requireCurrent();
    launches.enqueueHidden();
    return null;
  }

  private void requireCurrent() {
    if (!isCurrent()) {
      throw new IllegalStateException("a later batch was prepared, or the predictor is closed");
    }
  }

  /// Whether no other pass was prepared since: its tables still stand in the workspace, and graphs
  /// of its key may run. Device thread.
  public boolean isCurrent() {
    return predictor.isCurrent(this);
  }

  /// What was prepared.
  public PassShape shape() {
    return shape;
  }

  /// What fixes the launches of [#forward]: a graph captured from a batch runs any batch of an
  /// equal key, once that is prepared and until another one is.
  public PassKey key() {
    return launches.key();
  }

  /// Queries in the pass, padding included.
  public int tokenCount() {
    return key().tokens();
  }

  /// Rows of logits, R, padding included.
  public int rowCount() {
    return key().rows();
  }

  /// Input: `i32[R]`, the packed indices whose logits are wanted; zeroes after `prepare`.
  public DeviceBuffer rowIndex() {
    return launches.rowIndex();
  }

  /// Output: X[R, D], D the model's width: the normalised rows whose products with the head are the
  /// logits; overwritten early in the next forward pass.
  public DeviceBuffer hidden() {
    return launches.hidden();
  }

  /// The LM head, X[E, D].
  public Weight head() {
    return launches.head();
  }

  /// Output: f32[R, E], E the model's embedding_size; overwritten early in the next forward pass.
  public DeviceBuffer logits() {
    return launches.logits();
  }
}
