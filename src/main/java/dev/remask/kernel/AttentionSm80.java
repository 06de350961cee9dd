package dev.remask.kernel;

import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;
import java.util.Set;

/// kernels/attention_sm80.cu: bf16 on mma.sync.
final class AttentionSm80 implements AttentionVariant {
  /// Queries of a CTA of the two kernels, `kQueries` in attention_sm80.cu. The larger tile reads K
  /// and V half as often from shared memory, which bounds it on an A100.
  static final int SMALL_TILE = 64;

  static final int LARGE_TILE = 128;

  /// Large tiles that fill a card, by 32 heads two CTAs for each of 132 SMs: with fewer, small
  /// tiles use more of it. The bits are the same.
  private static final int ENOUGH_TILES = 8;

  /// Cards with 100 KB of shared memory per multiprocessor, which hold two small tiles of 128 dims
  /// but one large one: too few warps to have one's softmax under the other's mma.
  private static final Set<Integer> SMALL_CARDS = Set.of(86, 89, 120, 121);

  private static final int THREADS = 128;

  /// `kKeyTile` in attention_sm80.cu.
  private static final int KEY_TILE = 64;

  private final Kernel[] headDim64;
  private final Kernel[] headDim128;
  private final AttentionCombine combine;
  private final boolean smallCard;

  AttentionSm80(Module module, Module combine, int computeCapability) {
    headDim64 = kernels(module, 64);
    headDim128 = kernels(module, 128);
    this.combine = new AttentionCombine(combine);
    smallCard = SMALL_CARDS.contains(computeCapability);
  }

  /// The kernel of small tiles, then that of large ones.
  private static Kernel[] kernels(Module module, int headDim) {
    return new Kernel[] {kernel(module, headDim, SMALL_TILE), kernel(module, headDim, LARGE_TILE)};
  }

  private static Kernel kernel(Module module, int headDim, int tile) {
    return module.kernel(
        "attention_hd" + headDim + "_q" + tile + "_bf16_sm80",
        Parameter.POINTER,
        Parameter.POINTER,
        Parameter.POINTER,
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
        Parameter.I32,
        Parameter.I32,
        Parameter.F32);
  }

  @Override
  public Architecture architecture() {
    return Architecture.SM80;
  }

  @Override
  public AttentionWork work(int[] queryLengths, int[] keyLengths) {
    return AttentionWork.of(queryLengths, keyLengths, tile(queryLengths, smallCard));
  }

  /// The tile for sequences of so many queries.
  static int tile(int[] queryLengths, boolean smallCard) {
    if (smallCard) {
      return SMALL_TILE;
    }
    long largeTiles = 0;
    for (int queries : queryLengths) {
      // Sequences that one small tile holds have no use for a large one.
      largeTiles += queries <= SMALL_TILE ? 0 : Math.ceilDiv(queries, LARGE_TILE);
    }
    return largeTiles >= ENOUGH_TILES ? LARGE_TILE : SMALL_TILE;
  }

  @Override
  public boolean takes(Attention.Buffers buffers, Attention.Shape shape) {
    return Attention.aligned(buffers, shape, DType.BF16);
  }

  /// Bytes of shared memory, as attention_sm80.cu's `kSharedBytes` has them: a ring of tiles of 64
  /// keys (or values), 3 of 128 dims or 4 of 64; large tiles' queries beside it.
  static int sharedBytes(int headDim, int tile) {
    int row = headDim * DType.BF16.bytes();
    int slots = headDim == 64 ? 4 : 3;
    return (slots * KEY_TILE + (tile == LARGE_TILE ? LARGE_TILE : 0)) * row;
  }

  @Override
  public void launch(
      Stream stream, Attention.Buffers buffers, Attention.Shape shape, AttentionWork work) {
    int tile = work.queryTile();
    if (tile != SMALL_TILE && tile != LARGE_TILE) {
      throw new IllegalArgumentException("attention: " + work + " is not for the sm_80 kernels");
    }
    Kernel kernel = (shape.headDim() == 64 ? headDim64 : headDim128)[tile / LARGE_TILE];
    kernel.set(0, buffers.out()).set(1, buffers.q()).set(2, buffers.k()).set(3, buffers.v());
    kernel.set(4, buffers.lse()).set(5, buffers.qOffsets()).set(6, buffers.kvOffsets());
    kernel.set(7, buffers.work()).set(8, buffers.scratch());
    kernel.set(9, work.partialRows()).set(10, shape.queryTokens());
    kernel.set(11, shape.heads()).set(12, shape.kvHeads());
    kernel.set(13, shape.qStride()).set(14, shape.kvStride()).set(15, shape.outStride());
    kernel.set(16, Attention.scale(shape));
    int shared = sharedBytes(shape.headDim(), tile);
    kernel.launch(stream, work.items(), shape.heads(), 1, THREADS, shared);
    combine.launch(stream, buffers, shape, work);
  }
}
