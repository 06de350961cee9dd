package dev.remask.support;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Enabled;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/// The driver call that enqueues a captured graph.
@Name("dev.remask.GraphLaunch")
@Label("Graph Launch")
@Category("Remask")
@Description("The driver call that enqueues a captured graph.")
@Enabled(false)
@StackTrace(false)
final class GraphLaunchEvent extends Event {
  @Label("Nodes")
  @Description("A WHILE node counts as one, whatever is in its body")
  int nodes;

  @Label("Kernels")
  @Description("Kernel nodes outside of conditional bodies")
  int kernels;

  @Label("Body Kernels")
  @Description("Kernel nodes in the bodies of conditional nodes")
  int bodyKernels;
}
