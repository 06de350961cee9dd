package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;

/// A matrix of weights as [Gemm]'s products take it: n outputs of k inputs each, in device memory.
///
/// @param values the elements, in the order that `layout` says
/// @param n rows: outputs
/// @param k columns: inputs
/// @param layout how the elements lie
/// @param scalesOrNull `f32[n]`, what a row's integers are to be multiplied with; null except with
///   [Layout#INT8]
public record Weight(DeviceBuffer values, int n, int k, Layout layout, DeviceBuffer scalesOrNull) {
  /// Rows of a strip of [Layout#PACKED].
  static final int STRIP_ROWS = 16;

  /// How the elements of a matrix lie.
  public enum Layout {
    /// X[n, k], row-major, as checkpoints hold it.
    ROWS,
    /// The same bytes in strips of 16 rows, each by columns, as the host kernels of `gemm_packed`
    /// read it.
    PACKED,
    /// `s8[n, k]`, row-major, with a scale for each row.
    INT8
  }

  /// Throws IllegalArgumentException unless n and k are positive and there are scales exactly where
  /// the layout has some.
  public Weight {
    Launch.requirePositive("weight", "n", n);
    Launch.requirePositive("weight", "k", k);
    if ((layout == Layout.INT8) != (scalesOrNull != null)) {
      throw new IllegalArgumentException(
          "weight: " + layout + (scalesOrNull == null ? " without" : " with") + " scales");
    }
  }

  /// A matrix as checkpoints hold it: `values` is X[n, k], row-major.
  public static Weight rows(DeviceBuffer values, int n, int k) {
    return new Weight(values, n, k, Layout.ROWS, null);
  }
}
