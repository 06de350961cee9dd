package dev.remask.diffusion;

/// Watches an answer while it unmasks.
@FunctionalInterface
public interface StepListener {
  /// Called once for every pass that changed something, in order, after the device has finished it.
  ///
  /// Runs on the thread that waits for the generation, never on the device thread: a slow listener
  /// delays nobody and loses nothing (events wait in a queue). An exception thrown here cancels the
  /// generation and reaches who waits for it.
  void onStep(StepEvent event);
}
