package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

/// Order of packing, and buckets.
class PassShapeTest {
  @Test
  void uncachedSequences_areFirst_thenCachedByTheirPlace() {
    var shape =
        PassShape.of(
            List.of(
                new PassSequence(50, 2, 3, 9, 40),
                PassSequence.whole(0, 4),
                new PassSequence(80, 0, 7, 7, 0),
                PassSequence.whole(20, 6)),
            5);
    assertEquals(0, shape.queryBegin(1));
    assertEquals(4, shape.queryBegin(3));
    assertEquals(10, shape.queryBegin(2));
    assertEquals(17, shape.queryBegin(0));
    assertEquals(20, shape.queries());
    assertEquals(5, shape.rows());
    assertEquals(10, shape.uncachedQueries());
  }

  @Test
  void cachedSequences_mayTouch_butNotOverlap() {
    var first = new PassSequence(0, 0, 5, 5, 3);
    PassShape.of(List.of(new PassSequence(9, 0, 1, 5, 8), first), 1);
    assertThrows(
        IllegalArgumentException.class,
        () -> PassShape.of(List.of(new PassSequence(9, 0, 1, 5, 7), first), 1));
  }

  @Test
  void buckets_wasteAnEighthAtMost_orSevenTokens() {
    for (int least : new int[] {1, 8, 64}) {
      int last = 0;
      for (int count = 0; count < 5000; count++) {
        int bucket = PassShape.bucket(count, least);
        assertTrue(bucket >= Math.max(count, last), "monotonous at " + count);
        assertTrue(bucket - count <= Math.max(least - 1, count / 8), count + " in " + bucket);
        assertEquals(bucket, PassShape.bucket(bucket, least), "its own bucket");
        last = bucket;
      }
    }
    assertEquals(0, PassShape.bucket(0, 8));
    assertEquals(8, PassShape.bucket(1, 8));
    assertEquals(64, PassShape.bucket(57, 8));
    assertEquals(512, PassShape.bucket(512, 8));
    assertEquals(576, PassShape.bucket(513, 8));
    assertThrows(ArithmeticException.class, () -> PassShape.bucket(Integer.MAX_VALUE, 8));
  }
}
