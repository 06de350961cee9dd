package dev.remask.model;

import java.nio.file.Files;
import java.nio.file.Path;

/// What `config.json` says about a mask predictor of the LLaDA architecture; every size is checked.
///
/// An id that the model does not have is -1. `eosTokenId` comes from `generation_config.json` where
/// config.json is silent. Formulas: ML-GSAI/LLaDA, modeling_llada.py.
///
/// @param dModel width of the residual stream
/// @param layers transformer blocks
/// @param heads query heads; `dModel` is `heads * headDim()`
/// @param kvHeads key and value heads, each serving `heads / kvHeads` query heads
/// @param mlpHiddenSize width of the gated feed-forward layer
/// @param vocabSize ids below it are tokens
/// @param embeddingSize rows of the embedding and of the LM head, at least `vocabSize`
/// @param maxSequenceLength longest sequence, prompt and answer together
/// @param ropeTheta base of the rotary embedding's frequencies
/// @param rmsNormEps added to the mean square before its root
/// @param weightTying the LM head is the embedding
/// @param maskTokenId the id of a position that is not decided yet
/// @param eosTokenId ends a text; -1: none
/// @param padTokenId fills batches elsewhere (never here); -1: none
/// @param eotTokenId ends a turn, as config.json names it; -1: none
public record ModelConfig(
    int dModel,
    int layers,
    int heads,
    int kvHeads,
    int mlpHiddenSize,
    int vocabSize,
    int embeddingSize,
    int maxSequenceLength,
    double ropeTheta,
    float rmsNormEps,
    boolean weightTying,
    int maskTokenId,
    int eosTokenId,
    int padTokenId,
    int eotTokenId) {

  /// No such token.
  public static final int NONE = -1;

  /// The name of the file in a model folder.
  static final String FILE = "config.json";

  /// Reads and checks `config.json` (and `generation_config.json`, if there is one) of a model
  /// folder.
  ///
  /// Keys with no bearing on the computation are ignored and logged at debug level; a value that
  /// asks for a computation that is not supported is an error by name. Any thread. Throws
  /// ModelException.
  public static ModelConfig read(Path folder) {
    if (!Files.isDirectory(folder)) {
      throw new ModelException(folder + ": no such folder; wanted: a model folder with " + FILE);
    }
    return ModelConfigReader.read(folder);
  }

  /// Elements of one attention head: 64 or 128.
  public int headDim() {
    return dModel / heads;
  }

  /// Elements of one token's query, key and value heads, side by side in that order.
  public int qkvWidth() {
    return (heads + 2 * kvHeads) * headDim();
  }
}
