package dev.remask.support;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/// Likelihoods of answers, of all tasks of one call.
@Name("dev.remask.Score")
@Label("Score")
@Category("Remask")
@Description("Likelihoods of answers, of all tasks of one call.")
@StackTrace(false)
final class ScoreEvent extends Event {
  @Label("Tasks")
  int tasks;

  @Label("Masked Answers")
  int answers;

  @Label("Passes")
  int passes;
}
