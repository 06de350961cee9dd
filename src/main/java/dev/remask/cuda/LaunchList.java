package dev.remask.cuda;

import dev.remask.support.Flight;
import java.util.ArrayList;
import java.util.List;

/// What a graph launches, by kernel and grid: some twenty entries for a step, for whoever records
/// the graph's launches later. Filled while the graph is captured. Device thread.
final class LaunchList {
  private static final class Entry {
    final String kernel;
    final int x;
    final int y;
    final int z;
    final int block;
    final int sharedBytes;
    int count = 1;

    Entry(String kernel, int x, int y, int z, int block, int sharedBytes) {
      this.kernel = kernel;
      this.x = x;
      this.y = y;
      this.z = z;
      this.block = block;
      this.sharedBytes = sharedBytes;
    }

    boolean is(Entry other) {
      return kernel.equals(other.kernel)
          && x == other.x
          && y == other.y
          && z == other.z
          && block == other.block
          && sharedBytes == other.sharedBytes;
    }
  }

  private final List<Entry> entries = new ArrayList<>();
  private int launches;

  void add(String kernel, int x, int y, int z, int block, int sharedBytes) {
    launches++;
    var entry = new Entry(kernel, x, y, z, block, sharedBytes);
    for (Entry known : entries) {
      if (known.is(entry)) {
        known.count++;
        return;
      }
    }
    entries.add(entry);
  }

  /// Kernel nodes.
  int launches() {
    return launches;
  }

  /// Records that all of them were launched `times` times.
  void record(String by, long times) {
    for (Entry entry : entries) {
      Flight.kernel(
          entry.kernel,
          entry.x,
          entry.y,
          entry.z,
          entry.block,
          entry.sharedBytes,
          by,
          entry.count * times);
    }
  }
}
