package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class ScheduleTest {
  @Test
  void names_readBack() {
    for (Schedule named :
        new Schedule[] {Schedule.uniform(), Schedule.cosine(), Schedule.linear()}) {
      assertEquals(named, Schedule.parse(named.toString()));
      assertFalse(named.isList());
      assertEquals(0, named.times().length);
    }
    var e = assertThrows(InvalidOptionException.class, () -> Schedule.parse("square"));
    assertEquals("schedule must be one of uniform, cosine, linear, got square", e.getMessage());
  }

  @Test
  void lists_fallFromOneToZero() {
    Schedule list = Schedule.of(1, 0.5, 0);
    assertTrue(list.isList());
    assertArrayEquals(new double[] {1, 0.5, 0}, list.times());
    assertEquals("1.0,0.5,0.0", list.toString());
    assertEquals(list, Schedule.of(1, 0.5, 0));
    assertNotEquals(list, Schedule.of(1, 0.4, 0));
    for (double[] wrong :
        new double[][] {
          {},
          {1},
          {0},
          {1, 0.5},
          {0.9, 0},
          {1, 0.5, 0.5, 0},
          {1, 0.4, 0.5, 0},
          {1, Double.NaN, 0},
          {1, 0.5, -0.1},
          {1, 2, 0},
          {1, -1, 0}
        }) {
      var e = assertThrows(InvalidOptionException.class, () -> Schedule.of(wrong));
      assertEquals("schedule", e.field());
      assertTrue(e.getMessage().contains("fall strictly from 1 to 0"), e.getMessage());
    }
  }
}
