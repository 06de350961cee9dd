package dev.remask.support;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;

/// A generation, from its submission to its end.
@Name("dev.remask.Request")
@Label("Request")
@Category("Remask")
@Description("A generation, from its submission to its end.")
@StackTrace(false)
final class RequestEvent extends Event {
  @Label("Tokens")
  @Description("Of the canvas: prompt and answer")
  int tokens;

  @Label("Masks")
  @Description("Positions to fill")
  int masks;

  @Label("Block Length")
  int blockLength;

  @Label("Passes")
  @Description("Forward passes that it took part in; 0 unless it was answered")
  int passes;

  @Label("Waited")
  @Description("From its submission until it joined a pass")
  @Timespan
  long waited;

  @Label("Outcome")
  @Description("answered, cancelled, expired or failed")
  String outcome;

  @Label("Failure")
  String failure;
}
