package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.Test;

class RegionsTest {
  @Test
  void ranges_neverOverlap_andAllComeBack() {
    long seed = System.nanoTime();
    var random = new Random(seed);
    var regions = new Regions(1000);
    var used = new BitSet();
    var taken = new ArrayList<int[]>();
    for (int i = 0; i < 20_000; i++) {
      if (random.nextBoolean()) {
        int length = 1 + random.nextInt(60);
        int begin = regions.take(length);
        if (begin == Regions.NONE) {
          // Truly no gap of that length.
          for (int at = used.nextClearBit(0); at < 1000; at = used.nextClearBit(at)) {
            int end = used.nextSetBit(at);
            end = end < 0 ? 1000 : end;
            assertTrue(end - at < length, "seed " + seed);
            at = end;
          }
          continue;
        }
        assertTrue(begin + length <= 1000 && used.get(begin, begin + length).isEmpty());
        used.set(begin, begin + length);
        taken.add(new int[] {begin, length});
      } else if (!taken.isEmpty()) {
        int[] range = taken.remove(random.nextInt(taken.size()));
        used.clear(range[0], range[0] + range[1]);
        regions.give(range[0], range[1]);
      }
    }
    taken.forEach(range -> regions.give(range[0], range[1]));
    assertEquals(0, regions.take(1000), "all of it is free again");
  }

  @Test
  void arenaOfTheLoop_isNotBlockedByFragmentation() {
    // Ranges of 1 to 64 of 64 in use at most, in eight times as much.
    var random = new Random(5);
    var regions = new Regions(8 * 64);
    var taken = new ArrayList<int[]>();
    int used = 0;
    for (int i = 0; i < 100_000; i++) {
      int length = 1 + random.nextInt(1 << random.nextInt(7));
      while (used + length > 64) {
        int[] range = taken.remove(random.nextInt(taken.size()));
        regions.give(range[0], range[1]);
        used -= range[1];
      }
      int begin = regions.take(length);
      assertNotEquals(Regions.NONE, begin);
      taken.add(new int[] {begin, length});
      used += length;
    }
  }

  @Test
  void wrongReturns_areRefused() {
    var regions = new Regions(10);
    int begin = regions.take(4);
    regions.give(begin, 4);
    assertThrows(IllegalStateException.class, () -> regions.give(begin, 4));
    assertThrows(IllegalStateException.class, () -> regions.give(8, 4));
    assertEquals(0, new Regions(0).take(0));
    assertEquals(Regions.NONE, new Regions(0).take(1));
  }
}
