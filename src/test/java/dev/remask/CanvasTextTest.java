package dev.remask;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CanvasTextTest {
  private static final int M = GenerateRequest.MASK;

  /// A tokenizer whose tokens are characters.
  private static int[] encode(String text) {
    return CanvasText.encode(text, piece -> piece.chars().toArray());
  }

  @Test
  void masks_standWhereTheyAreWritten() {
    assertArrayEquals(new int[] {'a', ' ', M, M, M, ' ', 'b'}, encode("a <mask:3> b"));
    assertArrayEquals(new int[] {M}, encode("<mask>"));
    assertArrayEquals(new int[] {M, M, 'x', M}, encode("<mask:1><mask>x<mask>"));
    assertArrayEquals(new int[] {M, 'x'}, encode("<mask>x"));
    assertArrayEquals(new int[] {'x', M}, encode("x<mask:01>"));
  }

  @Test
  void everythingElse_isLiteral() {
    assertArrayEquals(
        "<masked> <m ask> <Mask>".chars().toArray(), withoutMask("<masked> <m ask> <Mask>"));
    assertArrayEquals("<mask < ".chars().toArray(), withoutMask("<mask < "));
  }

  private static int[] withoutMask(String text) {
    int[] ids = encode(text + "<mask>");
    assertEquals(M, ids[ids.length - 1]);
    return java.util.Arrays.copyOf(ids, ids.length - 1);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"<mask:0>", "<mask:>", "<mask:x>", "<mask:-1>", "<mask: 2>", "<mask:12345678>"})
  void aMask_hasANumber(String mask) {
    var e = assertThrows(RequestException.class, () -> encode("a " + mask));
    assertEquals("canvas", e.field());
    assertTrue(e.getMessage().endsWith("got " + mask), e.getMessage());
  }

  @Test
  void aCanvas_hasAMask() {
    var e = assertThrows(RequestException.class, () -> encode("nothing to do"));
    assertTrue(e.getMessage().contains("at least one <mask>"), e.getMessage());
  }
}
