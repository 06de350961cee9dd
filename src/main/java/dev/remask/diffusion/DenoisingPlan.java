package dev.remask.diffusion;

/// The steps of one answer that commit something, in order, as formulas: nothing is stored per
/// step.
///
/// Rule: LLaDA (ML-GSAI/LLaDA, generate.py). A block of n masked positions is filled in S = steps /
/// blocks steps; step i commits n / S of them, and one more while i < n % S.
final class DenoisingPlan {
  private final int promptLength;
  private final int blockLength;
  private final int stepsPerBlock;

  /// What every step of a block commits, and how many of its steps commit one more.
  private final int everyStep;

  private final int oneMore;

  /// Entries of a block. Quotas never grow, so the steps that commit nothing are its last ones.
  private final int working;

  private final int size;

  /// The plan of valid `options` behind a prompt.
  DenoisingPlan(int promptLength, DiffusionOptions options) {
    this.promptLength = promptLength;
    blockLength = options.blockLength();
    stepsPerBlock = options.steps() / options.blocks();
    everyStep = blockLength / stepsPerBlock;
    oneMore = blockLength % stepsPerBlock;
    working = everyStep > 0 ? stepsPerBlock : oneMore;
    size = working * options.blocks();
  }

  /// Entries in all: at most gen_length, however many steps.
  int size() {
    return size;
  }

  /// First position of the entry's block, counted from the start of the prompt.
  int blockBegin(int entry) {
    return promptLength + entry / working * blockLength;
  }

  /// Positions to commit, at least 1.
  int quota(int entry) {
    return everyStep + (entry % working < oneMore ? 1 : 0);
  }

  /// The schedule's index of the step over the whole answer, skipped steps counted.
  int step(int entry) {
    return entry / working * stepsPerBlock + entry % working;
  }

  /// The schedule's index of a block's last step that commits something.
  int lastStep(int block) {
    return step((block + 1) * working - 1);
  }
}
