package dev.remask.kernel;

/// Which of a block's rows commit in a step, taken in the order of their keys: the Java side of
/// `CommitRule` in `kernels/include/diffusion_state.h`. Ties go to the lower position.
public enum CommitRule {
  /// The plan entry's quota of rows. Source: ML-GSAI/LLaDA, generate.py.
  QUOTA(0),

  /// Every row whose key is at most the bound, and at least the first. Source: NVlabs/Fast-dLLM.
  THRESHOLD(1),

  /// The first n rows for the largest n with (n + 1) · (1 − c_n) < bound, and at least one; c_n is
  /// the confidence of the n-th, 1 − c_n = key / (1 + key) in double precision. Source:
  /// NVlabs/Fast-dLLM.
  FACTOR(2),

  /// Each row with the plan entry's chance, whatever its key. Source: HKUNLP/Dream,
  /// generation_utils.py, "origin".
  CHANCE(3);

  final int code;

  CommitRule(int code) {
    this.code = code;
  }
}
