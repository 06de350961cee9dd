package dev.remask.bundle;

/// The shapes that are timed: LLaDA-8B's, or small ones that try the benchmarks themselves.
record Sizes(
    int width,
    int heads,
    int headDim,
    int feedForward,
    int vocabulary,
    int attentionTokens,
    int[] attentionLengths,
    int[] contextLengths,
    int[] fewRows,
    int[] manyRows,
    int[] selectRows,
    int square,
    long copyBytes,
    long flushBytes,
    double seconds) {

  /// LLaDA-8B on a card.
  static Sizes llada8b() {
    return new Sizes(
        4096,
        32,
        128,
        12_288,
        126_464,
        16_384,
        new int[] {512, 1024, 2048, 4096, 8192, 16_384},
        new int[] {1024, 4096, 16_384},
        new int[] {1, 16, 32, 64, 128, 256},
        new int[] {512, 1024, 4096, 8192},
        new int[] {1, 32, 64, 256},
        8192,
        1L << 31,
        1L << 28,
        0.6);
  }

  /// Small enough for the emulator.
  static Sizes tiny() {
    return new Sizes(
        128,
        2,
        64,
        192,
        500,
        64,
        new int[] {32},
        new int[] {64},
        new int[] {3},
        new int[] {40},
        new int[] {2},
        64,
        1 << 12,
        1 << 12,
        0);
  }
}
