package dev.remask.model;

/// The cosines and sines of the rotary embedding, one pair per position and frequency.
///
/// Angle of position p and pair i: p · theta^(-2i/headDim). Computed in double and rounded once:
/// the reference's f32 angles are off by up to 2e-4 rad at position 4,095.
final class RopeTable {
  private RopeTable() {}

  /// Bytes of the table f32[positions, headDim/2, 2].
  static long bytes(ModelConfig config) {
    return (long) config.maxSequenceLength() * config.headDim() * Float.BYTES;
  }

  /// Fills `row` (headDim floats: cos, sin, cos, sin, …) for one position.
  static void fill(float[] row, ModelConfig config, int position) {
    int headDim = config.headDim();
    for (int i = 0; i < headDim / 2; i++) {
      double angle = position * Math.pow(config.ropeTheta(), -2.0 * i / headDim);
      row[2 * i] = (float) Math.cos(angle);
      row[2 * i + 1] = (float) Math.sin(angle);
    }
  }
}
