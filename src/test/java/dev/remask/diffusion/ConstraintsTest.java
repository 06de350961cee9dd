package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class ConstraintsTest {
  @Test
  void none_encodesToNothing() {
    assertTrue(Constraints.none().isEmpty());
    Constraints.Encoded encoded = Constraints.none().encode(7, 100);
    assertEquals(0, encoded.count());
    assertEquals(0, encoded.data().length);
  }

  @Test
  void encoding_isTheKernels() {
    Constraints constraints =
        Constraints.builder()
            .choices(new int[] {1, 2}, new int[] {3, Constraints.ANY})
            .allowAt(1, 9, 5, 5)
            .bias(8, -0.5f)
            .bias(4, 2)
            .ban(7)
            .banAt(0, 6, 2)
            .build();
    Constraints.Encoded encoded = constraints.encode(10, 1000);
    assertArrayEquals(
        new int[] {
          -1, Constraints.BAN, 1000, 1,
          10, Constraints.BAN, 1001, 2,
          -1, Constraints.BIAS, 1003, 2,
          11, Constraints.ALLOW, 1007, 2,
          -1, Constraints.CHOICES, 1009, 2
        },
        encoded.entries());
    assertArrayEquals(
        new int[] {
          7,
          2,
          6,
          4,
          8,
          Float.floatToRawIntBits(2),
          Float.floatToRawIntBits(-0.5f),
          5,
          9,
          1,
          2,
          3,
          -1
        },
        encoded.data());
    assertEquals(5, encoded.count());
    assertArrayEquals(encoded.data(), constraints.encode(0, 0).data(), "the place changes no ids");
  }

  @Test
  void equality_isByContent() {
    assertEquals(
        Constraints.builder().ban(1, 2).build(), Constraints.builder().ban(2, 1, 1).build());
    assertEquals(
        Constraints.builder().ban(1, 2).build().hashCode(),
        Constraints.builder().ban(2, 1).build().hashCode());
    assertNotEquals(
        Constraints.builder().ban(1).build(), Constraints.builder().banAt(0, 1).build());
    assertNotEquals(Constraints.builder().ban(1).build(), Constraints.builder().allow(1).build());
    Constraints banned = Constraints.builder().ban(1).bias(3, 1).allowAt(2, 4).build();
    assertEquals(
        Constraints.builder().ban(1).bias(3, 1).allowAt(2, 4).choices(new int[] {5}).build(),
        banned.withChoices(new int[] {5}));
  }

  @Test
  void aPosition_isNamedOnce() {
    var e =
        assertThrows(
            InvalidOptionException.class, () -> Constraints.builder().banAt(3, 1).banAt(3, 2));
    assertEquals("banned_tokens must name a position once, got position 3 twice", e.getMessage());
    assertThrows(InvalidOptionException.class, () -> Constraints.builder().allow(1).allow(2));
    assertThrows(InvalidOptionException.class, () -> Constraints.builder().allowAt(-1, 2));
  }
}
