package dev.remask.diffusion;

import java.util.Arrays;
import java.util.stream.Collectors;

/// The remasking rule: which of the masked positions keep their token in a step.
public enum Remasking {
  /// The positions whose token has the highest probability are kept first.
  LOW_CONFIDENCE("low_confidence"),
  /// Uniform noise takes the place of the probability, reproducible by `seed`.
  RANDOM("random");

  private final String jsonName;

  Remasking(String jsonName) {
    this.jsonName = jsonName;
  }

  /// The name in JSON, on the command line and in messages, for example `low_confidence`.
  public String jsonName() {
    return jsonName;
  }

  /// Reads a [#jsonName()]. Throws [InvalidOptionException] naming `remasking` for anything else.
  public static Remasking parse(String jsonName) {
    for (Remasking rule : values()) {
      if (rule.jsonName.equals(jsonName)) {
        return rule;
      }
    }
    String names =
        Arrays.stream(values()).map(Remasking::jsonName).collect(Collectors.joining(" or "));
    throw new InvalidOptionException("remasking", "must be " + names + ", got " + jsonName);
  }

  @Override
  public String toString() {
    return jsonName;
  }
}
