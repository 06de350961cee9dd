package dev.remask.sidebyside;

import dev.remask.bench.SyntheticFiles;
import dev.remask.bench.SyntheticModel;
import dev.remask.model.ProgressListener;
import java.nio.file.Path;

/// A model and what it is asked, on both sides.
///
/// @param name of the case
/// @param syntheticOrNull the shape of a model of random weights; null: the default model
/// @param prompt tokens
/// @param answer tokens to fill
/// @param block tokens of a block
/// @param steps of the whole answer
record Case(
    String name, SyntheticModel syntheticOrNull, int prompt, int answer, int block, int steps) {
  private static final int VOCABULARY = 126_464;
  private static final int WIDTH = 1024;
  private static final int FEED_FORWARD = 3072;

  /// The shape that the project's goals are set for.
  static Case d1024() {
    return new Case(
        "d1024",
        new SyntheticModel(WIDTH, 8, 8, 8, FEED_FORWARD, VOCABULARY, 1024, 0),
        64,
        64,
        32,
        32);
  }

  /// The default model.
  static Case tiny() {
    return new Case("tiny-llada", null, 22, 32, 32, 32);
  }

  /// The folder of the model, written into `cache` where it is missing.
  Path folder(Path cache, Path defaultModel) {
    return syntheticOrNull == null
        ? defaultModel
        : SyntheticFiles.cached(syntheticOrNull, cache, ProgressListener.NONE);
  }

  /// Ids of common tokens, none of them special: always the same.
  int[] promptIds() {
    int[] ids = new int[prompt];
    for (int i = 0; i < prompt; i++) {
      ids[i] = 7 * i % 1009;
    }
    return ids;
  }

  @Override
  public String toString() {
    return "%s: prompt %d, answer %d, block %d, %d steps"
        .formatted(name, prompt, answer, block, steps);
  }
}
