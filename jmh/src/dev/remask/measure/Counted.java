package dev.remask.measure;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/// Counts the events of operations.
@State(Scope.Thread)
@AuxCounters(AuxCounters.Type.EVENTS)
public class Counted {
  public long events;
  public long operations;

  /// Adds an operation with so many.
  public void count(long many) {
    events += many;
    operations++;
  }
}
