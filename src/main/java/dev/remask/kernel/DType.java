package dev.remask.kernel;

/// Element type of weights and activations. The residual stream and the logits are f32 with both,
/// and so is all arithmetic inside the kernels.
public enum DType {
  /// bfloat16, stored rounded to nearest even.
  BF16("bf16", 2),
  /// IEEE 754 binary32, never shortened (no TF32).
  F32("f32", 4);

  private final String suffix;
  private final int bytes;

  DType(String suffix, int bytes) {
    this.suffix = suffix;
    this.bytes = bytes;
  }

  /// Bytes of one element.
  public int bytes() {
    return bytes;
  }

  /// The type's name as kernels and options spell it: `bf16`, `f32`.
  @Override
  public String toString() {
    return suffix;
  }
}
