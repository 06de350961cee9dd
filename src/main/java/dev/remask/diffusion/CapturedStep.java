package dev.remask.diffusion;

import dev.remask.cuda.Graph;
import dev.remask.cuda.Stream;

/// One denoising step of one batch shape, as a graph after its first launch.
///
/// The first launch enqueues the step's work as it is: that loads every kernel, cuBLASLt's too,
/// which a driver may refuse inside a capture. The second captures it; from then on a step is one
/// graph launch without host arguments. Device thread only.
final class CapturedStep implements AutoCloseable {
  private Runnable enqueue;
  private boolean loaded;
  private Graph graph;

  /// How the step is enqueued while it is no graph yet; each generation says it anew, because what
  /// an earlier one prepared is not current any more.
  void enqueueBy(Runnable enqueue) {
    this.enqueue = enqueue;
  }

  /// Enqueues one step on `stream`, always the same one.
  void launch(Stream stream) {
    if (!loaded) {
      enqueue.run();
      loaded = true;
      return;
    }
    if (graph == null) {
      graph = stream.capture(enqueue);
    }
    graph.launch(stream);
  }

  @Override
  public void close() {
    if (graph != null) {
      graph.close();
    }
  }
}
