package dev.remask.measure;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/// Counts the Java bytes that a thread allocates in the operations of a benchmark.
///
/// JMH's own profiler (`-prof gc`) counts a whole iteration, JMH's part included, some hundred
/// kilobytes; this counts between two points of one thread.
@State(Scope.Thread)
@AuxCounters(AuxCounters.Type.EVENTS)
public class Allocation {
  public long allocatedBytes;
  public long operations;

  /// Adds the bytes of so many operations.
  public void count(long bytes, long count) {
    allocatedBytes += bytes;
    operations += count;
  }
}
