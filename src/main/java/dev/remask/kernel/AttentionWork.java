package dev.remask.kernel;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

/// How one attention launch is cut into the work of CTAs: pure arithmetic on the sequences'
/// lengths.
///
/// Each item is a tile of queries of one sequence against its keys. A ragged batch is balanced by
/// starting the longest items first. A sequence of few queries and many keys has too few tiles to
/// fill a card, so its keys are split into chunks; a second kernel combines their partial results.
/// Whether and where a sequence is split depends on its own lengths alone, and a tile's size
/// changes no sum, so a sequence's result has the same bits whatever shares the batch. Immutable.
public final class AttentionWork {
  /// Ints of an item and of a combine item (kernels/include/attention_work.h).
  static final int ITEM_INTS = 8;

  /// Most queries of a sequence whose keys are split: what block-cached decoding asks for.
  static final int SPLIT_QUERIES = 64;

  /// Fewest queries of a tile, whatever the kernel.
  static final int SMALLEST_TILE = 64;

  /// Chunks of the longest sequences: with 32 heads, 256 CTAs, about two for each of 132 SMs. More
  /// would write and read more partial results than they hide latency.
  static final int MAX_CHUNKS = 8;

  /// Fewest keys of a chunk: its K and V (64 KB of each with 128 dims in bf16) outweigh the partial
  /// result of 64 rows (33 KB).
  static final int MIN_CHUNK_KEYS = 256;

  /// Chunks are whole key tiles of the kernels with 64 or 128 keys a tile; the overlapped ones of
  /// sm_90a (176, 192) cut the last tile of a chunk.
  private static final int CHUNK_KEYS_UNIT = 128;

  private static final int WHOLE = -1;

  /// One CTA's work in each head; `partial` is the first row of its partial result, or −1.
  record Item(int sequence, int queryBegin, int keyBegin, int keyEnd, int partial) {
    int keys() {
      return keyEnd - keyBegin;
    }
  }

  /// A split sequence: `chunks` partial results from row `partial` on.
  record Combine(int sequence, int partial, int chunks) {}

  private final int sequences;
  private final int maxQueries;
  private final int queryTokens;
  private final int keyTokens;
  private final int queryTile;
  private final int partialRows;
  private final List<Item> items;
  private final List<Combine> combines;

  private AttentionWork(
      int[] queryLengths,
      int[] keyLengths,
      int queryTile,
      int partialRows,
      List<Item> items,
      List<Combine> combines) {
    sequences = queryLengths.length;
    maxQueries = Arrays.stream(queryLengths).max().orElse(0);
    queryTokens = Arrays.stream(queryLengths).reduce(0, Math::addExact);
    keyTokens = Arrays.stream(keyLengths).reduce(0, Math::addExact);
    this.queryTile = queryTile;
    this.partialRows = partialRows;
    this.items = List.copyOf(items);
    this.combines = List.copyOf(combines);
  }

  private AttentionWork(
      AttentionWork like, int partialRows, List<Item> items, List<Combine> combines) {
    sequences = like.sequences;
    maxQueries = like.maxQueries;
    queryTokens = like.queryTokens;
    keyTokens = like.keyTokens;
    queryTile = like.queryTile;
    this.partialRows = partialRows;
    this.items = List.copyOf(items);
    this.combines = List.copyOf(combines);
  }

  /// For kernels that find their work by themselves: no items.
  static AttentionWork none(int[] queryLengths, int[] keyLengths) {
    requireLengths(queryLengths, keyLengths);
    return new AttentionWork(queryLengths, keyLengths, 0, 0, List.of(), List.of());
  }

  /// For kernels with `queryTile` queries per CTA.
  ///
  /// Throws IllegalArgumentException if the arrays differ in length, are empty, or hold a negative.
  static AttentionWork of(int[] queryLengths, int[] keyLengths, int queryTile) {
    requireLengths(queryLengths, keyLengths);
    if (queryTile < SMALLEST_TILE) {
      throw new IllegalArgumentException("attention: a tile of " + queryTile + " queries");
    }
    var items = new ArrayList<Item>();
    var combines = new ArrayList<Combine>();
    int row = 0;
    for (int s = 0; s < queryLengths.length; s++) {
      int queries = queryLengths[s];
      int keys = keyLengths[s];
      if (queries == 0) {
        continue;
      }
      int chunk = chunkKeys(queries, keys);
      if (chunk >= keys) {
        for (int begin = 0; begin < queries; begin += queryTile) {
          items.add(new Item(s, begin, 0, keys, WHOLE));
        }
        continue;
      }
      int first = row;
      for (int begin = 0; begin < keys; begin += chunk) {
        items.add(new Item(s, 0, begin, Math.min(begin + chunk, keys), row));
        row = Math.addExact(row, queries);
      }
      combines.add(new Combine(s, first, (row - first) / queries));
    }
    // The sort is stable: equals stay in the order of the sequences.
    items.sort(
        Comparator.<Item>comparingInt(item -> -item.keys())
            .thenComparingInt(
                item -> -Math.min(queryTile, queryLengths[item.sequence] - item.queryBegin)));
    return new AttentionWork(queryLengths, keyLengths, queryTile, row, items, combines);
  }

  private static void requireLengths(int[] queryLengths, int[] keyLengths) {
    if (queryLengths.length == 0 || queryLengths.length != keyLengths.length) {
      throw new IllegalArgumentException(
          "attention: %d query lengths for %d key lengths"
              .formatted(queryLengths.length, keyLengths.length));
    }
    for (int s = 0; s < queryLengths.length; s++) {
      if (queryLengths[s] < 0 || keyLengths[s] < 0) {
        throw new IllegalArgumentException(
            "attention: sequence %d has %d queries and %d keys"
                .formatted(s, queryLengths[s], keyLengths[s]));
      }
    }
  }

  /// Keys of a chunk of a sequence of so many queries and keys; `keys` itself where one CTA takes
  /// them all.
  static int chunkKeys(int queries, int keys) {
    if (queries > SPLIT_QUERIES || keys <= MIN_CHUNK_KEYS) {
      return keys;
    }
    int chunk = Math.ceilDiv(Math.ceilDiv(keys, MAX_CHUNKS), CHUNK_KEYS_UNIT) * CHUNK_KEYS_UNIT;
    return Math.max(MIN_CHUNK_KEYS, chunk);
  }

  /// Most ints that the work of a batch within these limits takes, for every kernel.
  static int maxInts(int maxSequences, int maxQueryTokens) {
    // Tiles: a whole number of them per sequence. A split sequence has its chunks and the combine
    // item instead of its one tile.
    long entries = maxQueryTokens / SMALLEST_TILE + (long) maxSequences * (MAX_CHUNKS + 1);
    return Math.toIntExact(entries * ITEM_INTS);
  }

  /// Most rows of partial results of a batch within these limits. A sequence whose keys are its
  /// queries is never split, so a batch of such needs none.
  static int maxPartialRows(int maxSequences, int maxQueryTokens, int maxKeyTokens) {
    long split = Math.min(maxSequences, maxKeyTokens / (MIN_CHUNK_KEYS + 1));
    long queries = Math.min(split * SPLIT_QUERIES, maxQueryTokens);
    return Math.toIntExact(queries * MAX_CHUNKS);
  }

  /// CTAs in each head.
  public int items() {
    return items.size();
  }

  /// Sequences whose keys are split.
  public int combines() {
    return combines.size();
  }

  /// Rows of partial results in the scratch memory, 0 where nothing is split.
  public int partialRows() {
    return partialRows;
  }

  /// Ints that the device needs: [#ints]'s length.
  public int intCount() {
    return (items.size() + combines.size()) * ITEM_INTS;
  }

  /// The device's form, in the order of kernels/include/attention_work.h.
  public int[] ints() {
    var ints = new int[intCount()];
    int at = 0;
    for (Item item : items) {
      ints[at] = item.sequence;
      ints[at + 1] = item.queryBegin;
      ints[at + 2] = item.keyBegin;
      ints[at + 3] = item.keyEnd;
      ints[at + 4] = item.partial;
      at += ITEM_INTS;
    }
    for (Combine combine : combines) {
      ints[at] = combine.sequence;
      ints[at + 1] = combine.partial;
      ints[at + 2] = combine.chunks;
      at += ITEM_INTS;
    }
    return ints;
  }

  /// The same work with inert items and combine items added until there are so many of each, and
  /// `rows` rows of scratch memory, so that launches of similar work have the same sizes.
  /// `emptySequence` has no queries.
  ///
  /// Throws IllegalArgumentException if there are more already, or that sequence is not empty.
  public AttentionWork padded(int itemCount, int combineCount, int rows, int emptySequence) {
    if (itemCount < items.size() || combineCount < combines.size() || rows < partialRows) {
      throw new IllegalArgumentException(
          "attention: %s, padded to %d items, %d splits, %d rows"
              .formatted(this, itemCount, combineCount, rows));
    }
    if (itemCount == items.size() && combineCount == combines.size() && rows == partialRows) {
      return this;
    }
    var inert = new Item(emptySequence, 0, 0, 0, WHOLE);
    if (items.stream().anyMatch(item -> item.sequence == emptySequence)) {
      throw new IllegalArgumentException("attention: sequence " + emptySequence + " has queries");
    }
    var allItems = new ArrayList<>(items);
    allItems.addAll(Collections.nCopies(itemCount - items.size(), inert));
    var allCombines = new ArrayList<>(combines);
    allCombines.addAll(
        Collections.nCopies(combineCount - combines.size(), new Combine(emptySequence, 0, 0)));
    return new AttentionWork(this, rows, allItems, allCombines);
  }

  /// Queries of a tile; 0 where there are no items.
  int queryTile() {
    return queryTile;
  }

  List<Item> itemList() {
    return items;
  }

  List<Combine> combineList() {
    return combines;
  }

  /// Throws IllegalArgumentException unless the work was made for so many sequences, and the shape
  /// has room for their queries and keys.
  void requireFor(Attention.Shape shape) {
    if (sequences != shape.sequences()
        || maxQueries > shape.maxQueries()
        || queryTokens > shape.queryTokens()
        || keyTokens > shape.keyTokens()) {
      throw new IllegalArgumentException(
          ("attention: the work is for %d sequences of up to %d queries, %d queries and %d keys in"
                  + " all; the shape says %d, %d, %d and %d")
              .formatted(
                  sequences,
                  maxQueries,
                  queryTokens,
                  keyTokens,
                  shape.sequences(),
                  shape.maxQueries(),
                  shape.queryTokens(),
                  shape.keyTokens()));
    }
  }

  /// Items, splits and tile.
  @Override
  public String toString() {
    return "AttentionWork[%d items of %d queries, %d sequences split]"
        .formatted(items.size(), queryTile, combines.size());
  }
}
