package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.Seed;
import java.util.Arrays;
import java.util.List;
import java.util.PriorityQueue;
import java.util.random.RandomGenerator;
import org.junit.jupiter.api.Test;

/// How a launch is cut into CTAs: everything once, whatever is beside it, and balanced.
class AttentionWorkTest {
  private static final int CASES = 300;

  private record Lengths(int[] queries, int[] keys) {
    static Lengths random(RandomGenerator random) {
      int sequences = 1 + random.nextInt(12);
      var queries = new int[sequences];
      var keys = new int[sequences];
      for (int s = 0; s < sequences; s++) {
        queries[s] = random.nextInt(random.nextBoolean() ? 65 : 3000);
        keys[s] = random.nextInt(random.nextBoolean() ? 300 : 20_000);
      }
      return new Lengths(queries, keys);
    }

    @Override
    public String toString() {
      return Arrays.toString(queries) + " queries, " + Arrays.toString(keys) + " keys";
    }
  }

  @Test
  void items_coverEachQueryAndKeyOnce() {
    Seed seed = Seed.fresh();
    for (int i = 0; i < CASES; i++) {
      Lengths lengths = Lengths.random(seed.random());
      int tile = 64 * (1 + seed.random().nextInt(3));
      AttentionWork work = AttentionWork.of(lengths.queries, lengths.keys, tile);
      String what = lengths + ", tile " + tile + ", " + seed;
      // The pairs of a query's keys add up to all of them only if none is missing or there twice:
      // items are ranges, and those of one tile do not overlap.
      for (int s = 0; s < lengths.queries.length; s++) {
        var covered = new long[lengths.queries[s]];
        int sequence = s;
        work.itemList().stream()
            .filter(item -> item.sequence() == sequence)
            .sorted((a, b) -> Integer.compare(a.keyBegin(), b.keyBegin()))
            .forEach(item -> {
              int end = Math.min(item.queryBegin() + tile, covered.length);
              assertTrue(item.queryBegin() < end, what);
              for (int query = item.queryBegin(); query < end; query++) {
                assertEquals(covered[query], item.keyBegin(), what);
                covered[query] = item.keyEnd();
              }
            });
        for (long keys : covered) {
          assertEquals(lengths.keys[s], keys, what);
        }
      }
      checkPartials(work, lengths, what);
    }
  }

  /// Every partial result has rows of its own, and its sequence's combine item finds it.
  private static void checkPartials(AttentionWork work, Lengths lengths, String what) {
    var owner = new int[work.partialRows()];
    for (AttentionWork.Item item : work.itemList()) {
      if (item.partial() >= 0) {
        for (int row = 0; row < lengths.queries[item.sequence()]; row++) {
          owner[item.partial() + row]++;
        }
      }
    }
    for (int count : owner) {
      assertEquals(1, count, what);
    }
    int rows = 0;
    for (AttentionWork.Combine combine : work.combineList()) {
      int queries = lengths.queries[combine.sequence()];
      assertTrue(queries <= AttentionWork.SPLIT_QUERIES, what);
      assertTrue(combine.chunks() > 1 && combine.chunks() <= AttentionWork.MAX_CHUNKS, what);
      for (int chunk = 0; chunk < combine.chunks(); chunk++) {
        int first = combine.partial() + chunk * queries;
        assertEquals(
            1,
            work.itemList().stream()
                .filter(item -> item.partial() == first && item.sequence() == combine.sequence())
                .count(),
            what);
      }
      rows += combine.chunks() * queries;
    }
    assertEquals(work.partialRows(), rows, what);
  }

  @Test
  void padded_addsWorkOfAnEmptySequence_behindTheRest() {
    int[] queries = {70, 32, 0};
    AttentionWork work = AttentionWork.of(queries, new int[] {70, 600, 9}, 64);
    AttentionWork padded = work.padded(9, 3, 256, 2);
    assertEquals(9, padded.items());
    assertEquals(3, padded.combines());
    assertEquals(256, padded.partialRows());
    assertEquals(work.itemList(), padded.itemList().subList(0, work.items()));
    var inert = new AttentionWork.Item(2, 0, 0, 0, -1);
    for (AttentionWork.Item item : padded.itemList().subList(work.items(), 9)) {
      assertEquals(inert, item);
    }
    assertEquals(work.combineList(), padded.combineList().subList(0, work.combines()));
    assertEquals(new AttentionWork.Combine(2, 0, 0), padded.combineList().getLast());
    assertSame(work, work.padded(work.items(), work.combines(), work.partialRows(), 2));
    assertThrows(IllegalArgumentException.class, () -> work.padded(1, 3, 256, 2));
    assertThrows(IllegalArgumentException.class, () -> work.padded(9, 3, 256, 1));
  }

  @Test
  void split_dependsOnTheSequenceAlone() {
    Seed seed = Seed.fresh();
    for (int i = 0; i < CASES; i++) {
      Lengths lengths = Lengths.random(seed.random());
      AttentionWork packed = AttentionWork.of(lengths.queries, lengths.keys, 128);
      for (int s = 0; s < lengths.queries.length; s++) {
        var queries = new int[] {lengths.queries[s]};
        AttentionWork alone = AttentionWork.of(queries, new int[] {lengths.keys[s]}, 64);
        assertArrayEquals(keyRanges(alone, 0), keyRanges(packed, s), lengths + ", " + seed);
      }
    }
  }

  private static int[] keyRanges(AttentionWork work, int sequence) {
    return work.itemList().stream()
        .filter(item -> item.sequence() == sequence && item.queryBegin() == 0)
        .mapToInt(AttentionWork.Item::keyBegin)
        .sorted()
        .toArray();
  }

  @Test
  void work_isTheSameEachTime_andFitsTheLimits() {
    Seed seed = Seed.fresh();
    for (int i = 0; i < CASES; i++) {
      Lengths lengths = Lengths.random(seed.random());
      AttentionWork work = AttentionWork.of(lengths.queries, lengths.keys, 64);
      AttentionWork again = AttentionWork.of(lengths.queries, lengths.keys, 64);
      assertArrayEquals(work.ints(), again.ints());
      int sequences = lengths.queries.length;
      int queries = Arrays.stream(lengths.queries).sum();
      int keys = Arrays.stream(lengths.keys).sum();
      String what = lengths + ", " + seed;
      assertEquals(work.intCount(), work.ints().length, what);
      assertTrue(work.intCount() <= AttentionWork.maxInts(sequences, queries), what);
      int most = AttentionWork.maxPartialRows(sequences, queries, keys);
      assertTrue(work.partialRows() <= most, what);
    }
  }

  @Test
  void ints_areAsTheHeaderHasThem() {
    // 300 keys against 3 queries: chunks of 256 and 44; 65 queries: two tiles, not split.
    var work = AttentionWork.of(new int[] {65, 3, 0, 1}, new int[] {300, 300, 9, 0}, 64);
    int[] expected = {
      0, 0, 0, 300, -1, 0, 0, 0, //
      0, 64, 0, 300, -1, 0, 0, 0, //
      1, 0, 0, 256, 0, 0, 0, 0, //
      1, 0, 256, 300, 3, 0, 0, 0, //
      3, 0, 0, 0, -1, 0, 0, 0, //
      1, 0, 2, 0, 0, 0, 0, 0
    };
    assertArrayEquals(expected, work.ints());
    assertEquals(5, work.items());
    assertEquals(1, work.combines());
    assertEquals(6, work.partialRows());
  }

  @Test
  void chunks_fillACard_whereKeysAreMany() {
    assertEquals(256, AttentionWork.chunkKeys(32, 256));
    assertEquals(256, AttentionWork.chunkKeys(32, 257));
    assertEquals(256, AttentionWork.chunkKeys(32, 2048));
    assertEquals(512, AttentionWork.chunkKeys(64, 4096));
    assertEquals(2048, AttentionWork.chunkKeys(1, 16_384));
    assertEquals(4096, AttentionWork.chunkKeys(65, 4096));
    int heads = 32;
    int ctas = AttentionWork.of(new int[] {32}, new int[] {4096}, 64).items() * heads;
    assertTrue(ctas >= 132, ctas + " CTAs for 132 multiprocessors");
  }

  @Test
  void tile_isLarge_whereLargeTilesFillTheCard() {
    assertEquals(128, AttentionSm80.tile(new int[] {1024}, false));
    assertEquals(128, AttentionSm80.tile(new int[] {3, 500, 500}, false));
    assertEquals(64, AttentionSm80.tile(new int[] {896}, false));
    assertEquals(64, AttentionSm80.tile(new int[100], false));
    assertEquals(64, AttentionSm80.tile(new int[] {4096}, true));
  }

  @Test
  void items_startLongestFirst() {
    Seed seed = Seed.fresh();
    for (int i = 0; i < CASES; i++) {
      Lengths lengths = Lengths.random(seed.random());
      int before = Integer.MAX_VALUE;
      for (AttentionWork.Item item :
          AttentionWork.of(lengths.queries, lengths.keys, 64).itemList()) {
        assertTrue(item.keys() <= before, lengths + ", " + seed);
        before = item.keys();
      }
    }
  }

  /// Keys that the busiest of `slots` places for CTAs walks, when CTAs start in order as others
  /// end.
  private static long end(List<AttentionWork.Item> items, int slots) {
    var running = new PriorityQueue<Long>();
    long end = 0;
    for (AttentionWork.Item item : items) {
      long finished = (running.size() < slots ? 0 : running.poll()) + item.keys();
      running.add(finished);
      end = Math.max(end, finished);
    }
    return end;
  }

  /// 64 sequences of 1,024 tokens and a last one of 8,192, one head, on 132 multiprocessors: the
  /// long tiles take as long as the rest needs. Started in the sequences' order they would begin
  /// when the rest is nearly done.
  @Test
  void raggedBatch_takesNoLongerThanItsLongestTile() {
    int[] lengths = new int[65];
    Arrays.fill(lengths, 1024);
    lengths[64] = 8192;
    List<AttentionWork.Item> items = AttentionWork.of(lengths, lengths, 128).itemList();
    assertEquals(8192, end(items, 132));
    List<AttentionWork.Item> inOrder =
        items.stream().sorted((a, b) -> Integer.compare(a.sequence(), b.sequence())).toList();
    assertTrue(end(inOrder, 132) >= 11_264, "in order: " + end(inOrder, 132));
  }

  @Test
  void of_refusesLengthsThatCannotBe() {
    refused("1 query lengths for 2 key lengths", new int[1], new int[2]);
    refused("0 query lengths", new int[0], new int[0]);
    refused("sequence 1 has 2 queries and -1 keys", new int[] {1, 2}, new int[] {1, -1});
  }

  private static void refused(String message, int[] queries, int[] keys) {
    var e = assertThrows(IllegalArgumentException.class, () -> AttentionWork.of(queries, keys, 64));
    assertTrue(e.getMessage().contains(message), e.getMessage());
  }
}
