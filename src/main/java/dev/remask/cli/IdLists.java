package dev.remask.cli;

import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;

/// Token ids as flags take them. What is wrong with a value is an IllegalArgumentException that
/// says what it must be.
final class IdLists {
  /// Stands for a masked position (or for any token) beside JSON's null.
  private static final String OPEN = "_";

  private IdLists() {}

  /// Ids with commas between; none at all is legal.
  static int[] ids(String list) {
    return parse(list, null, "must be token ids with commas between, got ");
  }

  /// Ids in which `_` or `null` stands for `open`.
  static int[] idsWithOpen(String list, int open) {
    return parse(
        list, open, "must be token ids (_ for a masked position) with commas between, got ");
  }

  private static int[] parse(String list, Integer openOrNone, String rule) {
    if (list.isBlank()) {
      return new int[0];
    }
    try {
      return Arrays.stream(list.split(",", -1))
          .map(String::strip)
          .mapToInt(id -> {
            if (openOrNone == null) {
              return Integer.parseInt(id);
            }
            return id.equals(OPEN) || id.equals("null") ? openOrNone : Integer.parseUnsignedInt(id);
          })
          .toArray();
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(rule + list, e);
    }
  }

  /// A set of ids, everywhere or, after a position and a colon, there: `3:5,6`.
  ///
  /// @param position the position; null: everywhere
  record TokenSet(Integer position, int[] ids) {
    static TokenSet parse(String text) {
      int colon = text.indexOf(':');
      try {
        return colon < 0
            ? new TokenSet(null, IdLists.ids(text))
            : new TokenSet(
                Integer.valueOf(text.substring(0, colon).strip()),
                IdLists.ids(text.substring(colon + 1)));
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException(
            "must be token ids with commas between, or POSITION:IDS, got " + text, e);
      }
    }
  }

  /// Numbers by id: `5=1.5,7=-2`.
  static Map<Integer, Float> numbersById(String list) {
    var numbers = new TreeMap<Integer, Float>();
    for (String pair : list.split(",", -1)) {
      int equals = pair.indexOf('=');
      try {
        numbers.put(
            Integer.valueOf(pair.substring(0, Math.max(0, equals)).strip()),
            Float.valueOf(pair.substring(equals + 1).strip()));
      } catch (NumberFormatException e) {
        throw new IllegalArgumentException("must be ID=NUMBER with commas between, got " + list, e);
      }
    }
    return numbers;
  }
}
