package dev.remask.diffusion;

/// What is kept of keys and values between the passes of a block. Anything but [#NONE] is an
/// approximation: attention looks both ways, so kept values are those of a canvas that has changed
/// since. Source: NVlabs/Fast-dLLM, llada/generate.py.
public enum CacheMode {
  /// Nothing: every pass computes every position. Exact.
  NONE("none"),

  /// What stands before the block: passes after a block's first compute the block and all behind
  /// it.
  PREFIX("prefix"),

  /// What stands before the block and behind it: passes after a block's first compute the block
  /// only.
  DUAL("dual");

  private final String jsonName;

  CacheMode(String jsonName) {
    this.jsonName = jsonName;
  }

  /// The name in JSON, on the command line and in messages, for example `prefix`.
  public String jsonName() {
    return jsonName;
  }

  /// Reads a [#jsonName()]. Throws [InvalidOptionException] naming `cache` for anything else.
  public static CacheMode parse(String jsonName) {
    return JsonNames.parse("cache", values(), CacheMode::jsonName, jsonName);
  }

  @Override
  public String toString() {
    return jsonName;
  }
}
