package dev.remask.diffusion;

import java.util.Locale;

/// How a run's steps reach the device: `REMASK_LOOP`, or the property `remask.loop`.
enum LoopMode {
  /// `WHILE` where the device can, else `STEPS`.
  AUTO,

  /// All of a run is one graph launch, whose WHILE node repeats the step (driver of CUDA 12.4 or
  /// newer).
  WHILE,

  /// One graph launch a step.
  STEPS;

  /// Throws IllegalArgumentException for anything but auto, while or steps.
  static LoopMode configured() {
    String value = System.getProperty("remask.loop");
    if (value == null) {
      value = System.getenv("REMASK_LOOP");
    }
    if (value == null || value.isBlank()) {
      return AUTO;
    }
    return switch (value.strip().toLowerCase(Locale.ROOT)) {
      case "auto" -> AUTO;
      case "while" -> WHILE;
      case "steps" -> STEPS;
      default ->
          throw new IllegalArgumentException(
              "REMASK_LOOP is '" + value + "'; wanted: auto, while or steps");
    };
  }
}
