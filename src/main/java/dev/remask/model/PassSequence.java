package dev.remask.model;

/// One sequence's part in a forward pass: which of its positions are computed, and whose keys they
/// attend to.
///
/// Queries are the positions [firstPosition, firstPosition + queries), whose token ids stand in the
/// canvas arena at canvasBegin + position; the rotary embedding turns by the position. Without a
/// cache the keys are the queries themselves. With one, the queries' keys and values are first
/// stored to cache rows cacheBegin + position, and attention reads the cache rows [cacheBegin,
/// cacheBegin + length): what earlier passes left there for the positions that are not computed.
///
/// @param canvasBegin arena index of position 0
/// @param firstPosition first position that is computed
/// @param queries positions that are computed, at least 1
/// @param length positions that are attended to, from 0 on
/// @param cacheBegin cache row of position 0, or [#UNCACHED]
public record PassSequence(
    int canvasBegin, int firstPosition, int queries, int length, int cacheBegin) {
  /// The cacheBegin of a sequence whose keys are its queries.
  public static final int UNCACHED = -1;

  /// Throws IllegalArgumentException unless the queries lie within the length, and are all of it
  /// where nothing is cached.
  public PassSequence {
    boolean outside = firstPosition < 0 || queries < 1 || firstPosition > length - queries;
    if (outside
        || canvasBegin < 0
        || cacheBegin < UNCACHED
        || (cacheBegin == UNCACHED && queries != length)) {
      throw new IllegalArgumentException(
          ("no sequence of a pass: %d queries from position %d of %d, canvas from %d, cache %s;"
                  + " wanted: queries within the length, all of it without a cache")
              .formatted(
                  queries,
                  firstPosition,
                  length,
                  canvasBegin,
                  cacheBegin == UNCACHED ? "unused" : "from " + cacheBegin));
    }
  }

  /// All positions, without a cache.
  public static PassSequence whole(int canvasBegin, int length) {
    return new PassSequence(canvasBegin, 0, length, length, UNCACHED);
  }

  /// Whether keys and values go through the cache.
  public boolean cached() {
    return cacheBegin != UNCACHED;
  }
}
