package dev.remask.support;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;

/// A model was loaded onto a device.
@Name("dev.remask.Load")
@Label("Model Load")
@Category("Remask")
@Description("A model was loaded onto a device.")
@StackTrace(false)
final class LoadEvent extends Event {
  @Label("Model Folder")
  String folder;

  @Label("Device")
  String device;

  @Label("Type")
  String dtype;

  @Label("Device Memory")
  @Description(
      "Weights, workspace and the loop's state; planned, and constant until the model is closed")
  @DataAmount
  long deviceBytes;

  @Label("Tokenizer")
  @Timespan
  long tokenizer;

  @Label("Opening the Device")
  @Timespan
  long opening;

  @Label("Kernels and Weights")
  @Timespan
  long weights;
}
