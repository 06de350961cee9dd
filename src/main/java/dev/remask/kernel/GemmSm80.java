package dev.remask.kernel;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// Launches kernels/gemm_rows_sm80.cu and kernels/gemm_sm80.cu: bf16 products of any shape, with
/// what follows them fused. A row's bits depend neither on m, nor on its position, nor on the tile.
///
/// Owns the workspace in which CTAs that share K leave their sums: launches share it, so all go to
/// one stream. Device thread; allocates nothing per launch.
final class GemmSm80 implements AutoCloseable {
  /// What happens to the sums; see kernels/include/gemm_epilogue.h.
  enum Epilogue {
    BF16(1),
    F32(1),
    RESIDUAL(1),
    SWIGLU(1),
    ROPE(6, 5);

    private final int pointers;
    private final int sizes;

    Epilogue(int pointers) {
      this(pointers, 0);
    }

    Epilogue(int pointers, int sizes) {
      this.pointers = pointers;
      this.sizes = sizes;
    }

    /// Parameters before those that every epilogue has.
    private int own() {
      return pointers + sizes;
    }

    private Parameter[] parameters() {
      List<Parameter> all = new ArrayList<>(Collections.nCopies(pointers, Parameter.POINTER));
      all.addAll(Collections.nCopies(sizes, Parameter.I32));
      all.addAll(Collections.nCopies(4, Parameter.POINTER)); // a, w, partials, counters
      all.addAll(Collections.nCopies(3, Parameter.I32)); // m, n, k
      return all.toArray(Parameter[]::new);
    }
  }

  /// A CTA's part of the result, as in the kernels.
  enum Tile {
    ROWS16(16, 64, 128, 6),
    ROWS32(32, 64, 128, 6),
    ROWS64(64, 128, 256, 4),
    ROWS128(128, 128, 256, 3);

    private static final int SLAB_BYTES = 128;

    final int rows;
    final int columns;
    private final int threads;
    private final int stages;

    Tile(int rows, int columns, int threads, int stages) {
      this.rows = rows;
      this.columns = columns;
      this.threads = threads;
      this.stages = stages;
    }

    private int sharedBytes() {
      return stages * (rows + columns) * SLAB_BYTES;
    }

    /// CTAs that share the K of a tile. Many rows have tiles enough.
    private int splits(int m, int n, int k) {
      return this == ROWS128 && m > GemmChoice.FEW_ROWS ? 1 : KSplit.of(n, k);
    }

    private long tiles(int m, int n) {
      return (long) Launch.ceilDiv(m, rows) * Launch.ceilDiv(n, columns);
    }
  }

  /// The sums of every split of the widest product that is split, in f32: 32 MiB.
  private static final long PARTIAL_BYTES =
      (long) GemmChoice.FEW_ROWS * KSplit.MOST_COLUMNS * Float.BYTES;

  /// Tiles of such a product, at most: of 16 rows, or two of 128.
  private static final int COUNTERS = 512;

  private final Map<Tile, Map<Epilogue, Kernel>> kernels = new EnumMap<>(Tile.class);
  private final DeviceMemory partials;
  private final DeviceMemory counters;

  GemmSm80(Context context, Module fewRows, Module manyRows) {
    for (Tile tile : Tile.values()) {
      Module module = tile == Tile.ROWS128 ? manyRows : fewRows;
      var byEpilogue = new EnumMap<Epilogue, Kernel>(Epilogue.class);
      for (Epilogue epilogue : Epilogue.values()) {
        String name = ("gemm_" + tile + "_" + epilogue + "_sm80").toLowerCase(Locale.ROOT);
        byEpilogue.put(epilogue, module.kernel(name, epilogue.parameters()));
      }
      kernels.put(tile, byEpilogue);
    }
    partials = context.allocate(PARTIAL_BYTES);
    counters = context.allocate((long) COUNTERS * Integer.BYTES);
    try (Stream stream = context.newStream()) {
      stream.fill(counters.buffer(), (byte) 0);
      stream.synchronize();
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  long workspaceBytes() {
    return partials.bytes() + counters.bytes();
  }

  /// Throws IllegalArgumentException if a launch cannot express the shape.
  static void check(Tile tile, int m, int n, int k) {
    long tiles = tile.tiles(m, n);
    if (tiles > Integer.MAX_VALUE) {
      throw new IllegalArgumentException("gemm: " + m + " x " + n + " is too large");
    }
    int splits = tile.splits(m, n, k);
    long sums = tiles * tile.rows * tile.columns * splits * Float.BYTES;
    if (splits > 1 && (tiles > COUNTERS || sums > PARTIAL_BYTES)) {
      throw new IllegalArgumentException(
          "gemm: %d rows are too many for tiles of %d".formatted(m, tile.rows));
    }
  }

  /// The kernel, for its own parameters to be set: the first ones.
  Kernel kernel(Tile tile, Epilogue epilogue) {
    return kernels.get(tile).get(epilogue);
  }

  /// Enqueues it. The caller has checked the buffers and, once, the shape.
  void launch(
      Stream stream,
      Tile tile,
      Epilogue epilogue,
      DeviceBuffer a,
      DeviceBuffer w,
      int m,
      int n,
      int k) {
    Kernel kernel = kernel(tile, epilogue);
    int next = epilogue.own();
    kernel.set(next, a).set(next + 1, w).set(next + 2, partials.buffer());
    kernel.set(next + 3, counters.buffer());
    kernel.set(next + 4, m).set(next + 5, n).set(next + 6, k);
    int tiles = (int) tile.tiles(m, n);
    int splits = tile.splits(m, n, k);
    kernel.launch(stream, tiles, 1, splits, tile.threads, tile.sharedBytes());
  }

  @Override
  public void close() {
    counters.close();
    partials.close();
  }
}
