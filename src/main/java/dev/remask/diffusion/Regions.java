package dev.remask.diffusion;

import java.util.Map;
import java.util.TreeMap;

/// Hands out ranges of an arena, each to one owner until it gives it back. First fit; neighbouring
/// free ranges are one.
final class Regions {
  /// What [#take] returns where nothing fits.
  static final int NONE = -1;

  private final int size;

  /// Free ranges: begin to length.
  private final TreeMap<Integer, Integer> free = new TreeMap<>();

  Regions(int size) {
    this.size = size;
    if (size > 0) {
      free.put(0, size);
    }
  }

  /// Elements of the arena.
  int size() {
    return size;
  }

  /// The begin of a range of `length` elements, or [#NONE]. A range without elements lies anywhere
  /// and need not be given back.
  int take(int length) {
    if (length == 0) {
      return 0;
    }
    for (Map.Entry<Integer, Integer> range : free.entrySet()) {
      int begin = range.getKey();
      int available = range.getValue();
      if (available >= length) {
        free.remove(begin);
        if (available > length) {
          free.put(begin + length, available - length);
        }
        return begin;
      }
    }
    return NONE;
  }

  /// Gives back what [#take] returned.
  void give(int begin, int length) {
    if (length == 0) {
      return;
    }
    Map.Entry<Integer, Integer> before = free.lowerEntry(begin);
    Map.Entry<Integer, Integer> after = free.ceilingEntry(begin);
    if (begin < 0
        || begin + length > size
        || (before != null && before.getKey() + before.getValue() > begin)
        || (after != null && after.getKey() < begin + length)) {
      throw new IllegalStateException(
          "[" + begin + ", " + (begin + length) + ") was given back twice or never taken");
    }
    int from = begin;
    int to = begin + length;
    if (before != null && before.getKey() + before.getValue() == begin) {
      from = before.getKey();
    }
    if (after != null && after.getKey() == to) {
      to += after.getValue();
      free.remove(after.getKey());
    }
    free.put(from, to - from);
  }
}
