package dev.remask.measure;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/// Counts what a kernel's launches have to do, and the time that the machine needs for it at least.
@State(Scope.Thread)
@AuxCounters(AuxCounters.Type.EVENTS)
public class Work {
  public long floorNanos;
  public long movedBytes;
  public long flops;
  public long operations;

  /// Adds a launch.
  public void count(Floor floor) {
    floorNanos += floor.nanos();
    movedBytes += floor.bytes();
    flops += floor.flops();
    operations++;
  }
}
