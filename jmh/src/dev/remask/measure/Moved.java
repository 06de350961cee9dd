package dev.remask.measure;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/// Counts the bytes that operations move, for a rate beside their time.
@State(Scope.Thread)
@AuxCounters(AuxCounters.Type.EVENTS)
public class Moved {
  public long movedBytes;
  public long operations;

  /// Adds an operation.
  public void count(long bytes) {
    movedBytes += bytes;
    operations++;
  }
}
