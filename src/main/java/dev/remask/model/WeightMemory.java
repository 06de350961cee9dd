package dev.remask.model;

/// Device memory for a model's weights that somebody else owns: in the same CUDA context, and there
/// as long as the model is open.
///
/// @param address its device address, a multiple of 256
/// @param bytes its size, at least what [Weights#requiredBytes] says
/// @param filled whether it holds the weights already, as a model of the same folder and dtype laid
///   them there; otherwise they are uploaded to it
public record WeightMemory(long address, long bytes, boolean filled) {
  /// Throws IllegalArgumentException unless the address is aligned and not 0.
  public WeightMemory {
    if (address == 0 || address % WeightLayout.ALIGNMENT != 0) {
      throw new IllegalArgumentException(
          "weights at 0x"
              + Long.toHexString(address)
              + ": the address must be a multiple of "
              + WeightLayout.ALIGNMENT
              + " and not 0");
    }
  }
}
