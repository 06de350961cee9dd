package dev.remask.support;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Enabled;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/// A denoising step that the host launched by itself and waited for.
@Name("dev.remask.Step")
@Label("Step")
@Category("Remask")
@Description("A denoising step that the host launched by itself and waited for.")
@Enabled(false)
@StackTrace(false)
final class StepEvent extends Event {
  @Label("Launched By")
  @Description("stream: kernel by kernel; graph: one captured graph")
  String by;

  @Label("Members")
  int members;
}
