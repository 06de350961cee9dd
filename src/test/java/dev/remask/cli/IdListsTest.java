package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import org.junit.jupiter.api.Test;

class IdListsTest {
  @Test
  void lists_areNumbersWithCommas() {
    assertArrayEquals(new int[] {1, 2, -3}, IdLists.ids("1, 2,-3"));
    assertArrayEquals(new int[0], IdLists.ids(" "));
    assertArrayEquals(new int[] {1, -7, -7}, IdLists.idsWithOpen("1,_,null", -7));
    refused(() -> IdLists.ids("1,,2"), "1,,2");
    refused(() -> IdLists.ids("1,_"), "1,_");
    refused(() -> IdLists.idsWithOpen("1,-1", -1), "1,-1");
  }

  @Test
  void sets_mayHaveAPosition() {
    assertNull(IdLists.TokenSet.parse("1,2").position());
    assertArrayEquals(new int[] {1, 2}, IdLists.TokenSet.parse("1,2").ids());
    assertEquals(3, IdLists.TokenSet.parse("3: 4").position());
    assertArrayEquals(new int[] {4}, IdLists.TokenSet.parse("3: 4").ids());
    refused(() -> IdLists.TokenSet.parse("a:4"), "POSITION:IDS, got a:4");
    refused(() -> IdLists.TokenSet.parse("3:x"), "POSITION:IDS, got 3:x");
  }

  @Test
  void numbers_standById() {
    assertEquals(Map.of(5, 1.5f, 7, -2f), IdLists.numbersById("5=1.5, 7=-2"));
    refused(() -> IdLists.numbersById("5"), "ID=NUMBER");
    refused(() -> IdLists.numbersById("=5"), "ID=NUMBER");
    refused(() -> IdLists.numbersById("5=x"), "ID=NUMBER");
  }

  private static void refused(org.junit.jupiter.api.function.Executable parse, String mentioned) {
    var e = assertThrows(IllegalArgumentException.class, parse);
    assertTrue(e.getMessage().contains(mentioned), e.getMessage());
  }
}
