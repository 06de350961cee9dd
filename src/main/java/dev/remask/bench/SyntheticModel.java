package dev.remask.bench;

import dev.remask.RequestException;
import dev.remask.model.ModelConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/// The shape of a LLaDA whose weights are random: what a step of such a model takes does not depend
/// on what they are, so nothing has to be downloaded to measure it.
///
/// The numbers have the scale of a trained model's: embeddings and norms near 1, matrices of
/// variance 1/inputs, those that write to the residual stream smaller by the root of twice the
/// layers. Row i of the LM head is the embedding of token i + 1, scaled so that it gets about half
/// of the probability where the residual stream is that embedding: a position predicts the
/// predecessor of its token (a mask that of the mask) by a margin far beyond rounding, so that
/// different implementations choose the same tokens. The same shape and seed are the same bytes.
///
/// @param dModel width of the residual stream, a multiple of heads; a head has 64 or 128
/// @param layers transformer blocks
/// @param heads query heads
/// @param kvHeads key and value heads, a divisor of heads
/// @param ffn width of the gated feed-forward layer
/// @param vocabulary tokens, and rows of embedding and LM head
/// @param maxLength longest sequence
/// @param seed of the weights
public record SyntheticModel(
    int dModel,
    int layers,
    int heads,
    int kvHeads,
    int ffn,
    int vocabulary,
    int maxLength,
    long seed) {

  /// Shapes by name: GSAI-ML/LLaDA-8B-Instruct, and the model that comes with the library.
  private static final Map<String, SyntheticModel> NAMED =
      Map.of(
          "llada-8b", new SyntheticModel(4096, 32, 32, 32, 12288, 126464, 4096, 0),
          "tiny", new SyntheticModel(256, 4, 2, 2, 768, 2048, 1024, 0));

  private static final int LLADA_VOCABULARY = 126464;
  private static final int LLADA_MASK = 126336;
  private static final int LLADA_EOS = 126081;

  /// Where the ids with a meaning stand in other vocabularies, from the end, as in tiny-llada.
  private static final int MASK_FROM_END = 1;

  private static final int EOS_FROM_END = 5;

  private static final int MIN_VOCABULARY = 16;

  /// A token before a masked one: what the shortest step to be measured takes.
  private static final int MIN_LENGTH = 2;

  private static final int MAX_SIZE = 1 << 20;
  private static final int MAX_LAYERS = 1 << 12;
  private static final int MAX_VOCABULARY = 1 << 24;
  private static final double ROPE_THETA = 500_000;
  private static final float NORM_EPSILON = 1e-5f;

  private static final String PREFIX = "model.transformer.";

  /// Refuses what no such model can have with a [RequestException] that names the flag.
  public SyntheticModel {
    check(dModel, 1, MAX_SIZE, "d_model");
    check(layers, 1, MAX_LAYERS, "layers");
    check(heads, 1, MAX_SIZE, "heads");
    check(kvHeads, 1, heads, "kv_heads");
    check(ffn, 1, MAX_SIZE, "ffn");
    check(vocabulary, MIN_VOCABULARY, MAX_VOCABULARY, "vocabulary");
    check(maxLength, MIN_LENGTH, MAX_SIZE, "max_length");
    if (dModel != heads * 64L && dModel != heads * 128L) {
      throw refused(
          "d_model",
          "must be 64 or 128 times heads (" + heads + "), the head sizes of the kernels");
    }
    if (heads % kvHeads != 0) {
      throw refused("kv_heads", "must divide heads (" + heads + "), got " + kvHeads);
    }
  }

  /// Reads `llada-8b`, `tiny`, or either with a number of layers of its own: `llada-8b:4`.
  ///
  /// Throws [RequestException] for anything else.
  public static SyntheticModel parse(String text) {
    int colon = text.indexOf(':');
    String name = colon < 0 ? text : text.substring(0, colon);
    SyntheticModel named = NAMED.get(name.toLowerCase(Locale.ROOT));
    String layers = colon < 0 ? "" : text.substring(colon + 1);
    if (named == null || colon >= 0 && !layers.matches("[1-9]\\d{0,3}")) {
      throw refused("synthetic", "must be llada-8b or tiny, or one with its layers: llada-8b:4");
    }
    return colon < 0 ? named : named.withLayers(Integer.parseInt(layers));
  }

  /// The same with another number of layers.
  public SyntheticModel withLayers(int count) {
    return new SyntheticModel(dModel, count, heads, kvHeads, ffn, vocabulary, maxLength, seed);
  }

  /// What a folder of it is called: `d4096-l32-h32-kv32-f12288-v126464-t4096-s0`.
  public String name() {
    return "d%s-l%s-h%s-kv%s-f%s-v%s-t%s-s%s"
        .formatted(dModel, layers, heads, kvHeads, ffn, vocabulary, maxLength, seed);
  }

  /// Elements of a head.
  public int headDim() {
    return dModel / heads;
  }

  /// The id of a masked position.
  public int maskId() {
    return vocabulary == LLADA_VOCABULARY ? LLADA_MASK : vocabulary - MASK_FROM_END;
  }

  /// The id that ends a text, and fills batches.
  public int eosId() {
    return vocabulary == LLADA_VOCABULARY ? LLADA_EOS : vocabulary - EOS_FROM_END;
  }

  /// What config.json says of it.
  public ModelConfig config() {
    return new ModelConfig(
        dModel,
        layers,
        heads,
        kvHeads,
        ffn,
        vocabulary,
        vocabulary,
        maxLength,
        ROPE_THETA,
        NORM_EPSILON,
        false,
        maskId(),
        eosId(),
        eosId(),
        ModelConfig.NONE);
  }

  /// Numbers of the model.
  public long parameters() {
    return tensors().stream().mapToLong(Tensor::elements).sum();
  }

  /// A tensor of the checkpoint: its elements are `mean + scale` times a normal number, drawn in
  /// the stream `stream` from the row `firstRow` on, cyclically.
  record Tensor(
      String name, List<Long> shape, int stream, long firstRow, double mean, double scale) {
    long elements() {
      return shape.stream().reduce(1L, Math::multiplyExact);
    }
  }

  /// All tensors under LLaDA's names, in the order of a pass.
  List<Tensor> tensors() {
    var all = new ArrayList<Tensor>();
    double inner = 1 / Math.sqrt(dModel);
    double residual = 1 / Math.sqrt(2.0 * layers);
    long kv = (long) kvHeads * headDim();
    add(all, "wte", List.of((long) vocabulary, (long) dModel), 0, 1);
    for (int i = 0; i < layers; i++) {
      String block = "blocks." + i + ".";
      add(all, block + "attn_norm", List.of((long) dModel), 1, NORM_SPREAD);
      add(all, block + "q_proj", List.of((long) dModel, (long) dModel), 0, inner);
      add(all, block + "k_proj", List.of(kv, (long) dModel), 0, inner);
      add(all, block + "v_proj", List.of(kv, (long) dModel), 0, inner);
      add(all, block + "attn_out", List.of((long) dModel, (long) dModel), 0, inner * residual);
      add(all, block + "ff_norm", List.of((long) dModel), 1, NORM_SPREAD);
      add(all, block + "ff_proj", List.of((long) ffn, (long) dModel), 0, inner);
      add(all, block + "up_proj", List.of((long) ffn, (long) dModel), 0, inner);
      add(all, block + "ff_out", List.of((long) dModel, (long) ffn), 0, residual / Math.sqrt(ffn));
    }
    add(all, "ln_f", List.of((long) dModel), 1, NORM_SPREAD);
    // The embedding's stream from its second row on: the row of the next token.
    all.add(
        new Tensor(
            PREFIX + "ff_out.weight",
            List.of((long) vocabulary, (long) dModel),
            0,
            1,
            0,
            Math.log(vocabulary) / dModel));
    return all;
  }

  private static final double NORM_SPREAD = 0.1;

  private static void add(
      List<Tensor> all, String name, List<Long> shape, double mean, double scale) {
    all.add(new Tensor(PREFIX + name + ".weight", shape, all.size(), 0, mean, scale));
  }

  /// config.json with every key that the reference implementation's configuration has.
  String configJson() {
    var keys = new ArrayList<String>();
    String fixed =
        """
        "architectures": ["LLaDAModelLM"]
        "model_type": "llada"
        "activation_type": "silu"
        "alibi": false
        "alibi_bias_max": 8.0
        "attention_dropout": 0.0
        "attention_layer_norm": false
        "attention_layer_norm_with_affine": true
        "bias_for_layer_norm": false
        "block_group_size": 1
        "block_type": "llama"
        "embedding_dropout": 0.0
        "flash_attention": false
        "include_bias": false
        "include_qkv_bias": false
        "init_cutoff_factor": null
        "init_device": "meta"
        "init_fn": "mitchell"
        "init_std": 0.02
        "input_emb_norm": false
        "layer_norm_type": "rms"
        "layer_norm_with_affine": true
        "mlp_ratio": 4
        "multi_query_attention": null
        "precision": "amp_bf16"
        "residual_dropout": 0.0
        "rms_norm_eps": 1e-05
        "rope": true
        "rope_full_precision": true
        "rope_theta": 500000.0
        "scale_logits": false
        "torch_dtype": "bfloat16"
        "use_cache": false
        "weight_tying": false
        """;
    fixed.lines().forEach(keys::add);
    keys.add("\"d_model\": " + dModel);
    keys.add("\"n_layers\": " + layers);
    keys.add("\"n_heads\": " + heads);
    keys.add("\"n_kv_heads\": " + kvHeads);
    keys.add("\"mlp_hidden_size\": " + ffn);
    keys.add("\"vocab_size\": " + vocabulary);
    keys.add("\"embedding_size\": " + vocabulary);
    keys.add("\"max_sequence_length\": " + maxLength);
    keys.add("\"mask_token_id\": " + maskId());
    keys.add("\"eos_token_id\": " + eosId());
    keys.add("\"pad_token_id\": " + eosId());
    return keys.stream().map(key -> "  " + key).collect(Collectors.joining(",\n", "{\n", "\n}\n"));
  }

  private static void check(int value, int least, int most, String field) {
    if (value < least || value > most) {
      throw refused(field, "must be from " + least + " to " + most + ", got " + value);
    }
  }

  private static RequestException refused(String field, String rule) {
    return new RequestException(field, field + " " + rule);
  }
}
