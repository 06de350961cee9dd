package dev.remask.cuda;

/// Element types of a matrix product: those of both inputs, then that of the output. Sums are f32
/// in all of them, without TF32.
public enum MatmulType {
  /// bf16 inputs, bf16 output.
  BF16_BF16(2, 2),
  /// bf16 inputs, f32 output.
  BF16_F32(2, 4),
  /// f32 inputs, f32 output.
  F32_F32(4, 4);

  private final int inputBytes;
  private final int outputBytes;

  MatmulType(int inputBytes, int outputBytes) {
    this.inputBytes = inputBytes;
    this.outputBytes = outputBytes;
  }

  /// Bytes of an input element.
  public int inputBytes() {
    return inputBytes;
  }

  /// Bytes of an output element.
  public int outputBytes() {
    return outputBytes;
  }
}
