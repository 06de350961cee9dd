package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// Full (bidirectional) attention over packed sequences with grouped K/V heads.
public final class Attention {
  private static final String OPERATION = "attention";

  /// Queries and threads of a CTA (`kQueryTile`, `kThreads` in kernels/attention.cu).
  static final int QUERY_TILE = 64;

  private static final int THREADS = 128;

  private final Kernel headDim64;
  private final Kernel headDim128;
  private final DType dtype;

  /// Sizes of a launch. Tokens are packed: sequence s has the queries and keys that its offsets
  /// name, the longest has maxQueries. Strides are elements from token to token; head h of a query
  /// is at h·headDim, K/V head g of a key at g·headDim, and query head h uses K/V head
  /// h·kvHeads/heads.
  public record Shape(
      int sequences,
      int maxQueries,
      int queryTokens,
      int keyTokens,
      int heads,
      int kvHeads,
      int headDim,
      int qStride,
      int kvStride,
      int outStride) {
    /// Throws IllegalArgumentException unless headDim is 64 or 128, heads a multiple of kvHeads,
    /// and all sizes at least 1 (keyTokens: 0).
    public Shape {
      Launch.requirePositive(OPERATION, "sequences", sequences);
      Launch.requirePositive(OPERATION, "maxQueries", maxQueries);
      Launch.requirePositive(OPERATION, "queryTokens", queryTokens);
      Launch.requirePositive(OPERATION, "heads", heads);
      Launch.requirePositive(OPERATION, "kvHeads", kvHeads);
      Launch.requireGrid(OPERATION, "sequences", sequences);
      Launch.requireGrid(OPERATION, "heads", heads);
      if (headDim != 64 && headDim != 128) {
        throw new IllegalArgumentException(
            "attention: headDim is " + headDim + "; wanted 64 or 128");
      }
      if (heads % kvHeads != 0) {
        throw new IllegalArgumentException(
            "attention: %d heads do not share %d K/V heads evenly".formatted(heads, kvHeads));
      }
      if (keyTokens < 0) {
        throw new IllegalArgumentException("attention: keyTokens is " + keyTokens);
      }
    }
  }

  Attention(Module module, DType dtype) {
    this.dtype = dtype;
    headDim64 = kernel(module, "_hd64_" + dtype);
    headDim128 = kernel(module, "_hd128_" + dtype);
  }

  private static Kernel kernel(Module module, String variant) {
    return module.kernel(
        OPERATION + variant,
        Parameter.POINTER,
        Parameter.POINTER,
        Parameter.POINTER,
        Parameter.POINTER,
        Parameter.POINTER,
        Parameter.POINTER,
        Parameter.I32,
        Parameter.I32,
        Parameter.I32,
        Parameter.I32,
        Parameter.I32,
        Parameter.F32);
  }

  /// Writes `out = softmax(q·kᵀ / sqrt(headDim))·v` for every query of every sequence; zeros for a
  /// sequence without keys.
  ///
  /// out X[queryTokens, outStride], q X[queryTokens, qStride], k and v X[keyTokens, kvStride],
  /// qOffsets and kvOffsets i32[sequences + 1] (non-decreasing, from 0; not checked here); all
  /// device memory; q, k and v may be views of one fused QKV buffer, out must not overlap them. f32
  /// inside, one rounding. Enqueues on `stream` and returns. Device thread only. Throws
  /// IllegalArgumentException if a buffer is too small, CudaException if the launch is refused.
  public void launch(
      Stream stream,
      DeviceBuffer out,
      DeviceBuffer q,
      DeviceBuffer k,
      DeviceBuffer v,
      DeviceBuffer qOffsets,
      DeviceBuffer kvOffsets,
      Shape shape) {
    int x = dtype.bytes();
    int queries = shape.queryTokens;
    int keys = shape.keyTokens;
    long width = (long) shape.heads * shape.headDim;
    long kvWidth = (long) shape.kvHeads * shape.headDim;
    Launch.requireStrided(OPERATION, "out", out, x, queries, width, shape.outStride);
    Launch.requireStrided(OPERATION, "q", q, x, queries, width, shape.qStride);
    Launch.requireStrided(OPERATION, "k", k, x, keys, kvWidth, shape.kvStride);
    Launch.requireStrided(OPERATION, "v", v, x, keys, kvWidth, shape.kvStride);
    long ends = shape.sequences + 1L;
    Launch.requireBuffer(OPERATION, "qOffsets", qOffsets, Integer.BYTES, ends, 1);
    Launch.requireBuffer(OPERATION, "kvOffsets", kvOffsets, Integer.BYTES, ends, 1);
    Kernel kernel = shape.headDim == 64 ? headDim64 : headDim128;
    kernel.set(0, out).set(1, q).set(2, k).set(3, v).set(4, qOffsets).set(5, kvOffsets);
    kernel.set(6, shape.heads).set(7, shape.kvHeads).set(8, shape.qStride);
    kernel.set(9, shape.kvStride).set(10, shape.outStride);
    kernel.set(11, (float) (1.0 / Math.sqrt(shape.headDim)));
    int tiles = Launch.ceilDiv(shape.maxQueries, QUERY_TILE);
    kernel.launch(stream, tiles, shape.heads, shape.sequences, THREADS, 0);
  }
}
