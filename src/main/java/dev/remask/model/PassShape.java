package dev.remask.model;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/// The sequences of one forward pass and how their queries are packed: uncached sequences first, in
/// the given order, then cached ones by their place in the cache. Immutable.
public final class PassShape {
  private final List<PassSequence> sequences;
  private final int rows;
  // Indices of the sequences in the order in which they are packed.
  private final int[] order;
  private final int[] queryBegins;
  private final int uncached;
  private final int uncachedQueries;
  private final int queries;

  private PassShape(List<PassSequence> sequences, int rows) {
    this.sequences = sequences;
    this.rows = rows;
    int count = sequences.size();
    order = new int[count];
    int packed = 0;
    for (int i = 0; i < count; i++) {
      if (!sequences.get(i).cached()) {
        order[packed++] = i;
      }
    }
    uncached = packed;
    if (uncached < count) {
      packCached();
    }
    queryBegins = new int[count];
    int begin = 0;
    int uncachedEnd = 0;
    for (int p = 0; p < count; p++) {
      queryBegins[order[p]] = begin;
      begin = Math.addExact(begin, sequences.get(order[p]).queries());
      uncachedEnd = p < uncached ? begin : uncachedEnd;
    }
    uncachedQueries = uncachedEnd;
    queries = begin;
  }

  private void packCached() {
    int count = sequences.size();
    var cached = new Integer[count - uncached];
    int found = 0;
    for (int i = 0; i < count; i++) {
      if (sequences.get(i).cached()) {
        cached[found++] = i;
      }
    }
    Arrays.sort(cached, Comparator.comparingInt(i -> sequences.get(i).cacheBegin()));
    long end = 0;
    for (int i = 0; i < cached.length; i++) {
      PassSequence sequence = sequences.get(cached[i]);
      if (sequence.cacheBegin() < end) {
        throw new IllegalArgumentException(
            "two sequences of a pass share cache row " + sequence.cacheBegin());
      }
      end = (long) sequence.cacheBegin() + sequence.length();
      order[uncached + i] = cached[i];
    }
  }

  /// A pass over these sequences, at least one, with `rows` rows of logits.
  ///
  /// Throws IllegalArgumentException if a size is below 1 or cached sequences overlap in the cache.
  public static PassShape of(List<PassSequence> sequences, int rows) {
    if (sequences.isEmpty() || rows < 1) {
      throw new IllegalArgumentException(
          "a pass of %d sequences and %d rows; wanted: at least one of each"
              .formatted(sequences.size(), rows));
    }
    return new PassShape(List.copyOf(sequences), rows);
  }

  /// The sequences, in the order in which they were given.
  public List<PassSequence> sequences() {
    return sequences;
  }

  /// Rows of logits that are wanted.
  public int rows() {
    return rows;
  }

  /// Queries of all sequences: positions that the pass computes.
  public int queries() {
    return queries;
  }

  /// The packed index of the first query of the sequence given as `index`-th; its position p is
  /// packed at queryBegin(index) + p - firstPosition.
  public int queryBegin(int index) {
    return queryBegins[index];
  }

  /// Sequences without a cache.
  int uncached() {
    return uncached;
  }

  /// Queries of the sequences without a cache: the packed index of the first cached one.
  int uncachedQueries() {
    return uncachedQueries;
  }

  /// The sequence that is packed as `place`-th.
  PassSequence packed(int place) {
    return sequences.get(order[place]);
  }

  /// What `count` is padded to, so that passes of similar sizes share a captured graph: a multiple
  /// of `least` and of an eighth of the power of two below, hence at most max(least - 1, count / 8)
  /// more. A power of two from `least` on is its own bucket.
  static int bucket(int count, int least) {
    int granule = count < 2 ? least : Math.max(least, Integer.highestOneBit(count - 1) / 8);
    return Math.toIntExact(Math.ceilDiv((long) count, granule) * granule);
  }
}
