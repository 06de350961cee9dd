package dev.remask.support;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Enabled;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/// Launches of a kernel on one grid. By stream: the driver call that enqueues it. By a graph:
/// without a time of its own.
@Name("dev.remask.KernelLaunch")
@Label("Kernel Launch")
@Category("Remask")
@Description(
    "Launches of a kernel on one grid. By stream: the driver call that enqueues it. By a graph:"
        + " without a time of its own.")
@Enabled(false)
@StackTrace(false)
final class KernelLaunchEvent extends Event {
  @Label("Kernel")
  String kernel;

  @Label("Grid X")
  int gridX;

  @Label("Grid Y")
  int gridY;

  @Label("Grid Z")
  int gridZ;

  @Label("Block")
  @Description("Threads of a CTA")
  int block;

  @Label("Shared Memory")
  @Description("Dynamic, of a CTA")
  @DataAmount
  int sharedBytes;

  @Label("Launched By")
  @Description("stream, graph, or while: repeated on the device")
  String by;

  @Label("Launches")
  @Description("How many the event stands for")
  long launches;
}
