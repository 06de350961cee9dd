package dev.remask.kernel;

/// How the sm_80 GEMMs split K: by the weights' shape alone, so that a row's bits depend neither on
/// the number of rows nor on the tile. kernels/include/gemm_split.h has the same numbers.
final class KSplit {
  private static final int SLAB = 64;
  private static final int TILE_COLUMNS = 64;

  /// Tiles that keep the SMs of a large card streaming.
  private static final int TILES = 256;

  /// A shorter split would only fill its ring.
  private static final int SLABS = 4;

  private static final int MOST_SPLITS = 16;

  /// The most columns of all splits together that a product in more than one split has, in tiles of
  /// at most 128: 2 splits of one tile less than `TILES`.
  static final int MOST_COLUMNS = 2 * TILES * TILE_COLUMNS;

  private KSplit() {}

  /// Splits of K for weights w[n,k].
  static int of(int n, int k) {
    int wanted = Launch.ceilDiv(TILES, Launch.ceilDiv(n, TILE_COLUMNS));
    int room = Launch.ceilDiv(k, SLAB) / SLABS;
    return Math.max(1, Math.min(wanted, Math.min(room, MOST_SPLITS)));
  }
}
