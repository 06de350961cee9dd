package dev.remask.kernel;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;
import dev.remask.cuda.TensorMap;
import java.util.List;
import java.util.Locale;

/// kernels/attention_sm90a.cu: bf16 on wgmma, fed by TMA.
///
/// `REMASK_ATTENTION` (or the property `remask.attention`) chooses the kernels: `simple` does one
/// product after another, `overlap` runs the softmax under the products; `auto` is `overlap`.
final class AttentionSm90a implements AttentionVariant {
  /// What attention_sm90a.cu calls a Plan.
  ///
  /// @param consumers warpgroups of 64 queries each
  record Plan(String name, int headDim, int consumers, int keyTile, int stages) {
    private static final int WARPGROUP_THREADS = 128;
    private static final int WARPGROUP_QUERIES = 64;
    private static final int BARRIER_BYTES = 8;

    /// One warpgroup more: the producer's.
    int threads() {
      return (consumers + 1) * WARPGROUP_THREADS;
    }

    int queryTile() {
      return consumers * WARPGROUP_QUERIES;
    }

    /// The tiles of Q, and of K and V for each stage, then the barriers.
    int sharedBytes() {
      int rows = queryTile() + 2 * stages * keyTile;
      return rows * headDim * DType.BF16.bytes() + (1 + 4 * stages) * BARRIER_BYTES;
    }
  }

  /// Which kernels `REMASK_ATTENTION` asks for.
  enum Choice {
    SIMPLE(
        new Plan("hd64", 64, 3, 128, 4), //
        new Plan("hd128", 128, 3, 128, 2)),
    OVERLAP(
        new Plan("hd64_overlap", 64, 2, 192, 3), //
        new Plan("hd128_overlap", 128, 2, 176, 2));

    private static final String VARIABLE = "REMASK_ATTENTION";
    private static final String PROPERTY = "remask.attention";

    private final Plan headDim64;
    private final Plan headDim128;

    Choice(Plan headDim64, Plan headDim128) {
      this.headDim64 = headDim64;
      this.headDim128 = headDim128;
    }

    static Choice configured() {
      String value = System.getProperty(PROPERTY);
      if (value == null) {
        value = System.getenv(VARIABLE);
      }
      String name = value == null ? "" : value.strip().toLowerCase(Locale.ROOT);
      return switch (name) {
        case "", "auto", "overlap" -> OVERLAP;
        case "simple" -> SIMPLE;
        default ->
            throw new IllegalArgumentException(
                VARIABLE + " is '" + name + "'; wanted: auto, simple or overlap");
      };
    }

    /// For 64 and for 128 dimensions.
    List<Plan> plans() {
      return List.of(headDim64, headDim128);
    }

    /// Queries of a tile, the same for both head sizes: work is cut before the head size is known.
    int queryTile() {
      return headDim128.queryTile();
    }
  }

  /// The tensor cores read rows of 128 bytes: 64 columns, the swizzle's span.
  private static final int SLAB_COLUMNS = 64;

  /// A kernel with the maps of its Q, K and V.
  private static final class Launcher {
    private static final int Q_MAP = 12;

    final Plan plan;
    final Kernel kernel;
    private final TensorMap q = slabs();
    private final TensorMap k = slabs();
    private final TensorMap v = slabs();

    Launcher(Module module, Plan plan) {
      this.plan = plan;
      kernel =
          module.kernel(
              "attention_" + plan.name + "_bf16_sm90a",
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
              Parameter.F32,
              Parameter.TENSOR_MAP,
              Parameter.TENSOR_MAP,
              Parameter.TENSOR_MAP);
    }

    private static TensorMap slabs() {
      return TensorMap.tiled(TensorMap.Element.BF16, 3, TensorMap.Swizzle.BYTES_128);
    }

    void setMaps(Attention.Buffers buffers, Attention.Shape shape) {
      int queries = shape.queryTokens();
      set(Q_MAP, q, buffers.q(), queries, shape.qStride(), shape.heads(), plan.queryTile());
      int keys = shape.keyTokens();
      set(Q_MAP + 1, k, buffers.k(), keys, shape.kvStride(), shape.kvHeads(), plan.keyTile);
      set(Q_MAP + 2, v, buffers.v(), keys, shape.kvStride(), shape.kvHeads(), plan.keyTile);
    }

    /// One copy brings `tile` tokens of a head as slabs of 64 columns, one behind the other.
    private void set(
        int index,
        TensorMap map,
        DeviceBuffer buffer,
        int tokens,
        int stride,
        int heads,
        int tile) {
      if (tokens == 0) {
        kernel.setTensorMap(index, null);
        return;
      }
      int slabs = plan.headDim / SLAB_COLUMNS;
      long slabBytes = (long) SLAB_COLUMNS * DType.BF16.bytes();
      long rowBytes = (long) stride * DType.BF16.bytes();
      map.at(buffer)
          .dimension(0, SLAB_COLUMNS, SLAB_COLUMNS)
          .dimension(1, tokens, rowBytes, tile)
          .dimension(2, (long) heads * slabs, slabBytes, slabs);
      kernel.setTensorMap(index, map);
    }
  }

  private final Choice choice;
  private final Launcher headDim64;
  private final Launcher headDim128;
  private final AttentionCombine combine;

  AttentionSm90a(Module module, Module combine, Choice choice) {
    this.choice = choice;
    headDim64 = new Launcher(module, choice.headDim64);
    headDim128 = new Launcher(module, choice.headDim128);
    this.combine = new AttentionCombine(combine);
  }

  @Override
  public Architecture architecture() {
    return Architecture.SM90A;
  }

  @Override
  public AttentionWork work(int[] queryLengths, int[] keyLengths) {
    return AttentionWork.of(queryLengths, keyLengths, choice.queryTile());
  }

  @Override
  public boolean takes(Attention.Buffers buffers, Attention.Shape shape) {
    return Attention.aligned(buffers, shape, DType.BF16);
  }

  @Override
  public void launch(
      Stream stream, Attention.Buffers buffers, Attention.Shape shape, AttentionWork work) {
    Launcher launcher = shape.headDim() == 64 ? headDim64 : headDim128;
    Plan plan = launcher.plan;
    if (work.queryTile() != plan.queryTile()) {
      throw new IllegalArgumentException("attention: " + work + " is not for the sm_90a kernels");
    }
    Kernel kernel = launcher.kernel;
    kernel.set(0, buffers.out()).set(1, buffers.lse());
    kernel.set(2, buffers.qOffsets()).set(3, buffers.kvOffsets());
    kernel.set(4, buffers.work()).set(5, buffers.scratch());
    kernel.set(6, work.partialRows()).set(7, shape.queryTokens());
    kernel.set(8, shape.heads()).set(9, shape.kvHeads()).set(10, shape.outStride());
    kernel.set(11, Attention.scale(shape));
    launcher.setMaps(buffers, shape);
    kernel.launch(stream, work.items(), shape.heads(), 1, plan.threads(), plan.sharedBytes());
    combine.launch(stream, buffers, shape, work);
  }
}
