package dev.remask.kernel;

/// Ids that selection treats specially: ids from `vocabulary` on and `mask` are never chosen, `eos`
/// and `eot` can be suppressed or deferred. −1: the model has none.
public record SpecialTokens(int vocabulary, int mask, int eos, int eot) {}
