package dev.remask.model;

/// What fixes the launches of a forward pass: sizes after padding, and where the canvas is. A graph
/// captured from one pass runs any other of an equal key, once that one is prepared.
///
/// @param canvas device address of the canvas arena
/// @param tokens queries, padding included
/// @param rows rows of logits, padding included
/// @param whole attention of the sequences without a cache; its sizes are 0 where there is none
/// @param cached attention of those with a cache, likewise
public record PassKey(long canvas, int tokens, int rows, Attending whole, Attending cached) {
  /// Sizes of one attention launch per layer.
  ///
  /// @param sequences entries of its offsets, empty ones included
  /// @param maxQueries most queries of a sequence, rounded up
  /// @param items CTAs per head, inert ones included; 0 for kernels without a list of work
  /// @param combines sequences whose keys are split, inert ones included
  /// @param partialRows rows of partial results, rounded up
  public record Attending(int sequences, int maxQueries, int items, int combines, int partialRows) {
    static final Attending NONE = new Attending(0, 0, 0, 0, 0);
  }
}
