package dev.remask.model;

import dev.remask.kernel.Attention;
import dev.remask.kernel.DType;
import dev.remask.kernel.Gemm;

/// Where every buffer of a forward pass stands in one block of device memory.
///
/// Buffers that never live at the same time share bytes. A pass has three phases, each with its own
/// view of the scratch part: attention (qkv), feed-forward (gateUp, activated), and the rows whose
/// logits are wanted, from the last layer's attention on: what is gathered and, one after the
/// other, their feed-forward buffers and the logits, which stay until the next pass begins.
/// Attention writes where its normalised input stood, since the QKV GEMM has consumed that. Room
/// for logits is planned even where steps choose without them, since the next request may need
/// them; on the software device memory that nothing was written to takes no pages.
final class WorkspacePlan {
  /// Bytes of the block: from `offset`, `bytes` long.
  record Extent(long offset, long bytes) {}

  final Extent tables;
  final Extent residual;
  final Extent normed;
  final Extent delta;

  /// The rows of a product as 8-bit integers; empty without quantization.
  final Extent quantized;

  final Extent qkv;
  final Extent attentionScratch;
  final Extent gateUp;
  final Extent activated;
  final Extent rowResidual;
  final Extent rowDelta;
  final Extent rowNormed;
  final Extent rowGateUp;
  final Extent rowActivated;
  final Extent logits;
  private final long totalBytes;

  WorkspacePlan(
      ModelConfig config, DType dtype, Quantization quantization, WorkspaceLimits limits) {
    long t = limits.maxTokens();
    long rows = limits.maxRows();
    long d = config.dModel();
    long f = config.mlpHiddenSize();
    var lasting = new Cursor(0);
    tables = lasting.take(PassTables.maxInts(limits), 1, Integer.BYTES);
    residual = lasting.take(t, d, Float.BYTES);
    normed = lasting.take(t, d, dtype.bytes());
    delta = lasting.take(t, d, dtype.bytes());
    quantized =
        lasting.take(
            quantization == Quantization.NONE
                ? 0
                : Gemm.int8ScratchBytes(Math.max(t, rows), Math.max(d, f)),
            1,
            1);
    var attention = new Cursor(lasting.end);
    qkv = attention.take(t, config.qkvWidth(), dtype.bytes());
    attentionScratch = attention.take(attentionScratchBytes(config, dtype, limits), 1, 1);
    var feedForward = new Cursor(lasting.end);
    gateUp = feedForward.take(t, 2 * f, dtype.bytes());
    activated = feedForward.take(t, f, dtype.bytes());
    var head = new Cursor(lasting.end);
    rowResidual = head.take(rows, d, Float.BYTES);
    rowDelta = head.take(rows, d, dtype.bytes());
    rowNormed = head.take(rows, d, dtype.bytes());
    var rowFeedForward = new Cursor(head.end);
    rowGateUp = rowFeedForward.take(rows, 2 * f, dtype.bytes());
    rowActivated = rowFeedForward.take(rows, f, dtype.bytes());
    logits = head.take(rows, config.embeddingSize(), Float.BYTES);
    totalBytes =
        Math.max(Math.max(attention.end, feedForward.end), Math.max(rowFeedForward.end, head.end));
  }

  /// Partial results of attention over split keys. f32 has none, nor has a pass without a cache.
  private static long attentionScratchBytes(
      ModelConfig config, DType dtype, WorkspaceLimits limits) {
    if (dtype == DType.F32) {
      return 0;
    }
    int rows =
        Attention.maxPartialRows(
            limits.maxSequences(), limits.maxTokens(), limits.maxCacheTokens());
    return Attention.scratchBytes(
        AttentionGroup.paddedPartialRows(rows), config.heads(), config.headDim());
  }

  long totalBytes() {
    return totalBytes;
  }

  /// Hands out aligned extents one after the other.
  private static final class Cursor {
    private long end;

    Cursor(long start) {
      end = start;
    }

    Extent take(long rows, long columns, int elementBytes) {
      long bytes = Math.multiplyExact(Math.multiplyExact(rows, columns), (long) elementBytes);
      var extent = new Extent(end, bytes);
      end = Math.addExact(end, WeightLayout.aligned(bytes));
      return extent;
    }
  }
}
