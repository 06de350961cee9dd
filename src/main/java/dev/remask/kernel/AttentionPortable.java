package dev.remask.kernel;

import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// kernels/attention.cu and its host kernels: both dtypes, any alignment.
final class AttentionPortable implements AttentionVariant {
  /// Queries and threads of a CTA (`kQueryTile`, `kThreads` in kernels/attention.cu).
  static final int QUERY_TILE = 64;

  private static final int THREADS = 128;

  private final Kernel headDim64;
  private final Kernel headDim128;

  AttentionPortable(Module module, DType dtype) {
    headDim64 = kernel(module, "_hd64_" + dtype);
    headDim128 = kernel(module, "_hd128_" + dtype);
  }

  private static Kernel kernel(Module module, String variant) {
    return module.kernel(
        Attention.OPERATION + variant,
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

  @Override
  public Architecture architecture() {
    return Architecture.PORTABLE;
  }

  @Override
  public AttentionWork work(int[] queryLengths, int[] keyLengths) {
    return AttentionWork.none(queryLengths, keyLengths);
  }

  @Override
  public boolean takes(Attention.Buffers buffers, Attention.Shape shape) {
    return buffers.lse() == null;
  }

  @Override
  public void launch(
      Stream stream, Attention.Buffers buffers, Attention.Shape shape, AttentionWork work) {
    Kernel kernel = shape.headDim() == 64 ? headDim64 : headDim128;
    kernel.set(0, buffers.out()).set(1, buffers.q()).set(2, buffers.k()).set(3, buffers.v());
    kernel.set(4, buffers.qOffsets()).set(5, buffers.kvOffsets());
    kernel.set(6, shape.heads()).set(7, shape.kvHeads()).set(8, shape.qStride());
    kernel.set(9, shape.kvStride()).set(10, shape.outStride());
    kernel.set(11, Attention.scale(shape));
    int tiles = Launch.ceilDiv(shape.maxQueries(), QUERY_TILE);
    kernel.launch(stream, tiles, shape.heads(), shape.sequences(), THREADS, 0);
  }
}
