package dev.remask.kernel;

import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;

/// kernels/attention_combine_sm80.cu: the second half of attention over split keys, whatever
/// kernels wrote the partial results.
final class AttentionCombine {
  /// Warps of a CTA, each of which combines one row of one head.
  private static final int ROWS = 4;

  private static final int WARP_THREADS = 32;

  private final Kernel headDim64;
  private final Kernel headDim128;

  AttentionCombine(Module module) {
    headDim64 = kernel(module, 64);
    headDim128 = kernel(module, 128);
  }

  private static Kernel kernel(Module module, int headDim) {
    return module.kernel(
        "attention_combine_hd" + headDim + "_bf16_sm80",
        Parameter.POINTER,
        Parameter.POINTER,
        Parameter.POINTER,
        Parameter.POINTER,
        Parameter.POINTER,
        Parameter.I32,
        Parameter.I32,
        Parameter.I32,
        Parameter.I32,
        Parameter.I32);
  }

  /// Enqueues the combination of every split sequence's partial results; nothing where none is
  /// split.
  void launch(Stream stream, Attention.Buffers buffers, Attention.Shape shape, AttentionWork work) {
    if (work.combines() == 0) {
      return;
    }
    Kernel kernel = shape.headDim() == 64 ? headDim64 : headDim128;
    kernel.set(0, buffers.out()).set(1, buffers.lse()).set(2, buffers.qOffsets());
    kernel.set(3, buffers.work()).set(4, buffers.scratch());
    kernel.set(5, work.items()).set(6, work.partialRows()).set(7, shape.queryTokens());
    kernel.set(8, shape.heads()).set(9, shape.outStride());
    int rowGroups = AttentionWork.SPLIT_QUERIES / ROWS;
    kernel.launch(stream, rowGroups, shape.heads(), work.combines(), ROWS * WARP_THREADS, 0);
  }
}
