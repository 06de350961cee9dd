package dev.remask.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class ChiSquaredTest {
  /// Critical values of the usual tables.
  @Test
  void upperTail_isThatOfTheTables() {
    assertEquals(0.05, ChiSquared.upperTail(0.5, 3.841459 / 2), 1e-7);
    assertEquals(0.01, ChiSquared.upperTail(2.5, 15.08627 / 2), 1e-7);
    assertEquals(0.95, ChiSquared.upperTail(5, 3.940299 / 2), 1e-7);
    assertEquals(0.001, ChiSquared.upperTail(15, 59.70306 / 2), 1e-8);
    assertEquals(1, ChiSquared.upperTail(3, 0));
  }

  @Test
  void pValue_isZero_whereTheImpossibleWasDrawn() {
    assertEquals(0, ChiSquared.pValue(new long[] {50, 1}, new double[] {1, 0}));
    assertEquals(1, ChiSquared.pValue(new long[] {50, 0}, new double[] {1, 0}));
  }

  /// Chi-squared of (60, 40) against halves is 4: p = erfc(sqrt(2)).
  @Test
  void pValue_ofTwoBins() {
    assertEquals(0.0455003, ChiSquared.pValue(new long[] {60, 40}, new double[] {0.5, 0.5}), 1e-7);
  }
}
