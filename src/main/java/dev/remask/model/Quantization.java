package dev.remask.model;

/// How the matrices of a model are kept, apart from their type.
public enum Quantization {
  /// In the model's dtype: exact.
  NONE("none"),
  /// As 8-bit integers with an f32 scale for each output, rounded when the model is loaded;
  /// activations are rounded likewise, row by row, before each product. Approximate: about half the
  /// memory of bf16. The embedding and the norms stay in the dtype, and so does the LM head where
  /// it is the embedding.
  INT8("int8");

  private final String text;

  Quantization(String text) {
    this.text = text;
  }

  /// Its name as options spell it: `none`, `int8`.
  @Override
  public String toString() {
    return text;
  }
}
