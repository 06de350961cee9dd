package dev.remask.diffusion;

/// How likely an answer is. Logarithms are natural.
///
/// @param logLikelihood the answer's log-likelihood as the method defines it
/// @param standardError of a Monte Carlo mean; NaN for the other methods and for a single draw of
///   more than one token
/// @param negativeLogLikelihoods of each token that the method names: those of a fixed mask in its
///   order, or all; empty for Monte Carlo; not copied
/// @param weightedSum Σ CE · L / masked of a fixed mask, the mean of that over the draws of Monte
///   Carlo, the plain sum of conditional scores: the log-likelihood with its sign turned
public record AnswerScore(
    double logLikelihood,
    double standardError,
    double[] negativeLogLikelihoods,
    double weightedSum) {}
