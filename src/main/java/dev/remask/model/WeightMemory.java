package dev.remask.model;

import dev.remask.kernel.Weight;

/// Device memory for a model's weights that somebody else owns: in the same CUDA context, and there
/// as long as the model is open.
///
/// @param address its device address, a multiple of 256
/// @param bytes its size, at least what [Weights#requiredBytes] says
/// @param filled whether it holds the weights already, as a model of the same folder and dtype laid
///   them there; otherwise they are uploaded to it, in rows
/// @param layout how the matrices of the layers and of the LM head lie there. A model packs those
///   in memory of its own where the device wants that, and never those in the memory of others
public record WeightMemory(long address, long bytes, boolean filled, Weight.Layout layout) {
  /// Throws IllegalArgumentException unless the address is aligned and not 0, or if memory that is
  /// not filled is to hold anything but rows.
  public WeightMemory {
    if (!filled && layout != Weight.Layout.ROWS) {
      throw new IllegalArgumentException(
          "weights are uploaded to the memory of others in rows, not " + layout);
    }
    if (address == 0 || address % WeightLayout.ALIGNMENT != 0) {
      throw new IllegalArgumentException(
          "weights at 0x"
              + Long.toHexString(address)
              + ": the address must be a multiple of "
              + WeightLayout.ALIGNMENT
              + " and not 0");
    }
  }

  /// Memory whose matrices lie in rows, as checkpoints hold them.
  public WeightMemory(long address, long bytes, boolean filled) {
    this(address, bytes, filled, Weight.Layout.ROWS);
  }
}
