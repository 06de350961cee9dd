package dev.remask.support;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/// Denoising steps that needed the host once: at their end.
@Name("dev.remask.Run")
@Label("Run of Steps")
@Category("Remask")
@Description("Denoising steps that needed the host once: at their end.")
@StackTrace(false)
final class RunEvent extends Event {
  @Label("Steps")
  int steps;

  @Label("Members")
  @Description("Requests that share the passes")
  int members;

  @Label("Tokens")
  @Description("Of a pass, copies for guidance included")
  int tokens;

  @Label("Rows")
  @Description("Of logits in a pass")
  int rows;

  @Label("Steps by Stream")
  @Description("Enqueued kernel by kernel: the first of a new shape")
  int streamSteps;

  @Label("Steps by Graph")
  @Description("Each one launch of a captured graph")
  int graphSteps;

  @Label("Steps by WHILE")
  @Description("Repeated on the device by the WHILE node of one graph launch")
  int whileSteps;
}
