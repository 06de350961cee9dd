package dev.remask.diffusion;

/// Watches an answer while it unmasks.
@FunctionalInterface
public interface StepListener {
  /// Called once for every step, in order, after the device has finished it.
  ///
  /// Runs on the thread that asked for the generation, never on the device thread: a slow listener
  /// delays nobody and loses nothing (steps wait in a queue). An exception thrown here ends the
  /// generation within a few steps and reaches the caller of generate.
  ///
  /// @param pass steps done, from 1
  /// @param passes steps of the whole generation
  /// @param answerIds the answer's gen_length ids; the model's mask id where nothing is committed
  ///   yet; a copy, the listener's to keep
  void onStep(int pass, int passes, int[] answerIds);
}
