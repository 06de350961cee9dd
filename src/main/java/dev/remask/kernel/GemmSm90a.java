package dev.remask.kernel;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;
import dev.remask.cuda.TensorMap;
import dev.remask.cuda.TensorMap.Element;
import dev.remask.cuda.TensorMap.Swizzle;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;

/// Launches kernels/gemm_sm90a.cu: matrix products of many rows by TMA and wgmma, bf16 inputs, any
/// m and n.
///
/// k has to be a multiple of 8 and both inputs have to begin at multiples of 16 bytes, which is
/// what TMA can address ([#takes]); the caller has another kernel for the rest. A row of the result
/// depends neither on m nor on the tile, bit for bit. Device thread; allocates nothing per launch.
final class GemmSm90a {
  /// A CTA's part of the result, of which a cluster has two below each other.
  enum Tile {
    /// 128 x 256.
    N256(256),
    /// 128 x 128, for results too small to give every CTA a larger one.
    N128(128);

    private final int columns;

    Tile(int columns) {
      this.columns = columns;
    }

    private int stages() {
      return RING_BYTES / ((TILE_M + columns) * ROW_BYTES);
    }

    private int sharedBytes() {
      return RING_BYTES + OUT_BYTES + stages() * 2 * BARRIER_BYTES;
    }

    private long clusterTiles(int m, int n) {
      return (long) Launch.ceilDiv(m, CLUSTER * TILE_M) * Launch.ceilDiv(n, columns);
    }
  }

  // As in the kernel.
  private static final int TILE_M = 128;
  private static final int CLUSTER = 2;
  private static final int THREADS = 384;
  private static final int GROUP_ROWS = 64;
  private static final int ROW_BYTES = 128;
  private static final int RING_BYTES = 192 * 1024;
  private static final int OUT_BYTES = 32 * 1024;
  private static final int BARRIER_BYTES = 8;

  /// What TMA wants of addresses and rows.
  private static final int TMA_BYTES = 16;

  /// Time of a 128 x 128 tile relative to a 128 x 256 one, in 256ths: half the products, and more
  /// reads of shared memory for each. An estimate, not measured.
  private static final int N128_COST = 160;

  private final int clusters;
  private final Map<MatmulType, Map<Tile, Kernel>> kernels = new EnumMap<>(MatmulType.class);
  private final Map<MatmulType, TensorMap> outMaps = new EnumMap<>(MatmulType.class);
  private final TensorMap aMap = TensorMap.tiled(Element.BF16, 2, Swizzle.BYTES_128);
  private final TensorMap wMap = TensorMap.tiled(Element.BF16, 2, Swizzle.BYTES_128);

  GemmSm90a(Context context, Module module) {
    clusters = Math.max(1, context.device().multiprocessors() / CLUSTER);
    for (MatmulType type : new MatmulType[] {MatmulType.BF16_BF16, MatmulType.BF16_F32}) {
      Element element = type == MatmulType.BF16_BF16 ? Element.BF16 : Element.F32;
      outMaps.put(type, TensorMap.tiled(element, 2, Swizzle.BYTES_128));
      Map<Tile, Kernel> byTile = new EnumMap<>(Tile.class);
      for (Tile tile : Tile.values()) {
        byTile.put(
            tile,
            module.kernel(
                ("gemm_" + type + "_" + tile + "_sm90a").toLowerCase(Locale.ROOT),
                Parameter.TENSOR_MAP,
                Parameter.TENSOR_MAP,
                Parameter.TENSOR_MAP,
                Parameter.POINTER,
                Parameter.I32,
                Parameter.I32,
                Parameter.I32));
      }
      kernels.put(type, byTile);
    }
  }

  /// Whether this kernel can compute products of such types and such a k.
  static boolean takes(MatmulType type, int k) {
    return type != MatmulType.F32_F32 && k % (TMA_BYTES / type.inputBytes()) == 0;
  }

  /// Whether the inputs lie where TMA can read them.
  static boolean takes(DeviceBuffer a, DeviceBuffer w) {
    return isAligned(a) && isAligned(w);
  }

  /// The tile that fills a device of `multiprocessors` best: fewest rounds, weighed by a tile's
  /// time.
  static Tile tile(int m, int n, int multiprocessors) {
    return tileFor(m, n, Math.max(1, multiprocessors / CLUSTER));
  }

  private static Tile tileFor(int m, int n, int clusters) {
    long wide = (Tile.N256.clusterTiles(m, n) + clusters - 1) / clusters * Tile.N256.columns;
    long narrow = (Tile.N128.clusterTiles(m, n) + clusters - 1) / clusters * N128_COST;
    return narrow < wide ? Tile.N128 : Tile.N256;
  }

  /// Enqueues `out[m,n] = Σ_k a[m,k]·w[n,k]` with the tile that [#tile] names. The caller has
  /// checked the sizes of the buffers and asked [#takes]. Throws CudaException if the launch is
  /// refused.
  void launch(
      Stream stream,
      MatmulType type,
      DeviceBuffer out,
      DeviceBuffer a,
      DeviceBuffer w,
      int m,
      int n,
      int k) {
    launch(stream, type, tileFor(m, n, clusters), out, a, w, m, n, k);
  }

  /// The same with a tile of the caller's choice.
  void launch(
      Stream stream,
      MatmulType type,
      Tile tile,
      DeviceBuffer out,
      DeviceBuffer a,
      DeviceBuffer w,
      int m,
      int n,
      int k) {
    Kernel kernel = kernels.get(type).get(tile);
    kernel.setTensorMap(0, isAligned(out) ? outMap(type, out, m, n) : null);
    kernel.setTensorMap(1, rows(aMap, a, m, k, type.inputBytes(), TILE_M));
    kernel.setTensorMap(2, rows(wMap, w, n, k, type.inputBytes(), tile.columns / CLUSTER));
    kernel.set(3, out).set(4, m).set(5, n).set(6, k);
    int running = (int) Math.min(clusters, tile.clusterTiles(m, n));
    kernel.launch(stream, CLUSTER * running, 1, 1, THREADS, tile.sharedBytes());
  }

  /// Null where a row is no multiple of 16 bytes: the kernel sees that and stores by itself.
  private TensorMap outMap(MatmulType type, DeviceBuffer out, int m, int n) {
    boolean wholeRows = (long) n * type.outputBytes() % TMA_BYTES == 0;
    return wholeRows ? rows(outMaps.get(type), out, m, n, type.outputBytes(), GROUP_ROWS) : null;
  }

  private static TensorMap rows(
      TensorMap map, DeviceBuffer buffer, int rows, int columns, int elementBytes, int boxRows) {
    return map.at(buffer)
        .dimension(0, columns, ROW_BYTES / elementBytes)
        .dimension(1, rows, (long) columns * elementBytes, boxRows);
  }

  private static boolean isAligned(DeviceBuffer buffer) {
    return buffer.address() % TMA_BYTES == 0;
  }
}
