package dev.remask.model;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Turns the keys of `config.json` into a ModelConfig, or says which one stands in the way.
final class ModelConfigReader {
  private static final System.Logger LOG = System.getLogger("dev.remask.model");

  private static final String GENERATION_FILE = "generation_config.json";

  /// Real files have a few kilobytes.
  private static final long MAX_FILE_BYTES = 4 << 20;

  /// Bounds that no model reaches, low enough that no size in bytes overflows a long.
  private static final int MAX_SIZE = 1 << 20;

  private static final int MAX_LAYERS = 1 << 12;

  private static final int MAX_VOCABULARY = 1 << 24;

  private static final Set<Integer> HEAD_DIMS = Set.of(64, 128);

  private final Path file;
  private final ObjectNode json;
  private final Set<String> unread;

  private ModelConfigReader(Path file) {
    this.file = file;
    this.json = JsonFiles.readObject(file, MAX_FILE_BYTES);
    this.unread = new TreeSet<>(json.propertyNames());
  }

  static ModelConfig read(Path folder) {
    var reader = new ModelConfigReader(folder.resolve(ModelConfig.FILE));
    ModelConfig config = reader.config(generationEos(folder.resolve(GENERATION_FILE)));
    reader.logUnread();
    return config;
  }

  private ModelConfig config(JsonNode generationEos) {
    checkArchitecture();
    int dModel = size("d_model", MAX_SIZE);
    int layers = size("n_layers", MAX_LAYERS);
    int heads = size("n_heads", MAX_SIZE);
    int kvHeads = kvHeads(heads);
    int headDim = headDim(dModel, heads);
    int vocabulary = size("vocab_size", MAX_VOCABULARY);
    int embeddingSize = has("embedding_size") ? size("embedding_size", MAX_VOCABULARY) : vocabulary;
    if (embeddingSize < vocabulary) {
      throw unsuitable("embedding_size", embeddingSize, "at least vocab_size, " + vocabulary);
    }
    int sequence = size("max_sequence_length", MAX_SIZE);
    if ((long) sequence * headDim > Integer.MAX_VALUE) {
      throw unsuitable("max_sequence_length", sequence, "times head_dim below 2^31");
    }
    return new ModelConfig(
        dModel,
        layers,
        heads,
        kvHeads,
        mlpHiddenSize(dModel),
        vocabulary,
        embeddingSize,
        sequence,
        positive("rope_theta"),
        (float) positive("rms_norm_eps"),
        flag("weight_tying", false),
        requiredId("mask_token_id", vocabulary),
        eos(generationEos, vocabulary),
        id("pad_token_id", vocabulary),
        id("eot_token_id", vocabulary));
  }

  /// Everything the computation depends on and that has one supported value. Absent means that
  /// value: files saved by the training code hold all of these keys.
  private void checkArchitecture() {
    only("model_type", "llada");
    only("block_type", "llama");
    only("layer_norm_type", "rms");
    only("activation_type", "silu");
    only("rope", true);
    only("layer_norm_with_affine", true);
    for (String off :
        new String[] {
          "alibi",
          "input_emb_norm",
          "include_bias",
          "include_qkv_bias",
          "bias_for_layer_norm",
          "attention_layer_norm",
          "scale_logits"
        }) {
      only(off, false);
    }
    if (has("block_group_size")) {
      int size = size("block_group_size", MAX_SIZE);
      if (size != 1) {
        throw unsuitable("block_group_size", size, "1");
      }
    }
    // RoPE is computed in full precision whatever this says.
    flag("rope_full_precision", true);
    for (String absent : new String[] {"clip_qkv", "rope_scaling", "quantization_config"}) {
      if (has(absent)) {
        throw unsuitable(absent, json.get(absent), "null: it is not supported");
      }
    }
  }

  private int headDim(int dModel, int heads) {
    if (dModel % heads != 0) {
      throw unsuitable("d_model", dModel, "a multiple of n_heads, " + heads);
    }
    int headDim = dModel / heads;
    if (!HEAD_DIMS.contains(headDim)) {
      throw unsuitable("d_model / n_heads", headDim, "64 or 128, the kernels' head sizes");
    }
    return headDim;
  }

  private int kvHeads(int heads) {
    boolean multiQuery = flag("multi_query_attention", false);
    if (!has("n_kv_heads")) {
      return multiQuery ? 1 : heads;
    }
    int kvHeads = size("n_kv_heads", MAX_SIZE);
    if (heads % kvHeads != 0) {
      throw unsuitable("n_kv_heads", kvHeads, "a divisor of n_heads, " + heads);
    }
    if (multiQuery && kvHeads != 1) {
      throw unsuitable("n_kv_heads", kvHeads, "1, because multi_query_attention is true");
    }
    return kvHeads;
  }

  private int mlpHiddenSize(int dModel) {
    if (has("mlp_hidden_size")) {
      unread.remove("mlp_ratio");
      return size("mlp_hidden_size", MAX_SIZE);
    }
    if (!has("mlp_ratio")) {
      throw unsuitable("mlp_hidden_size", "absent", "a positive integer (or mlp_ratio)");
    }
    int ratio = size("mlp_ratio", MAX_SIZE);
    long product = (long) ratio * dModel;
    if (product > MAX_SIZE) {
      throw unsuitable("mlp_ratio", ratio, "at most " + MAX_SIZE + " when multiplied by d_model");
    }
    return (int) product;
  }

  private int eos(JsonNode generationEos, int vocabulary) {
    if (has("eos_token_id") || generationEos == null) {
      return id("eos_token_id", vocabulary);
    }
    unread.remove("eos_token_id");
    Path generationFile = file.resolveSibling(GENERATION_FILE);
    if (!isInt(generationEos)) {
      throw ModelException.unsuitable(
          generationFile, "eos_token_id", generationEos, "an integer or a list of them");
    }
    return checkedId(generationFile, "eos_token_id", generationEos.intValue(), vocabulary);
  }

  /// eos_token_id of generation_config.json, the first one of a list; null if there is none.
  private static JsonNode generationEos(Path file) {
    if (!Files.exists(file)) {
      return null;
    }
    JsonNode eos = JsonFiles.value(JsonFiles.readObject(file, MAX_FILE_BYTES), "eos_token_id");
    return eos != null && eos.isArray() && !eos.isEmpty() ? eos.get(0) : eos;
  }

  private boolean has(String key) {
    unread.remove(key);
    return JsonFiles.value(json, key) != null;
  }

  private int size(String key, int max) {
    String wanted = "an integer from 1 to " + max;
    if (!has(key)) {
      throw unsuitable(key, "absent", wanted);
    }
    JsonNode node = json.get(key);
    if (!isInt(node) || node.intValue() < 1 || node.intValue() > max) {
      throw unsuitable(key, node, wanted);
    }
    return node.intValue();
  }

  private double positive(String key) {
    String wanted = "a positive, finite number";
    if (!has(key)) {
      throw unsuitable(key, "absent", wanted);
    }
    JsonNode node = json.get(key);
    double value = node.isNumber() ? node.doubleValue() : Double.NaN;
    // As f32 it must be usable too: rms_norm_eps goes to the kernels so.
    if (!(value > 0) || !((float) value > 0) || Float.isInfinite((float) value)) {
      throw unsuitable(key, node, wanted);
    }
    return value;
  }

  private boolean flag(String key, boolean absent) {
    if (!has(key)) {
      return absent;
    }
    JsonNode node = json.get(key);
    if (!node.isBoolean()) {
      throw unsuitable(key, node, "true or false");
    }
    return node.booleanValue();
  }

  private void only(String key, boolean supported) {
    if (flag(key, supported) != supported) {
      throw unsuitable(key, !supported, supported + ": nothing else is supported");
    }
  }

  private void only(String key, String supported) {
    if (has(key)) {
      JsonNode node = json.get(key);
      if (!node.isString() || !node.stringValue().equals(supported)) {
        throw unsuitable(key, node, '"' + supported + "\": nothing else is supported");
      }
    }
  }

  private int id(String key, int vocabulary) {
    return has(key) ? requiredId(key, vocabulary) : ModelConfig.NONE;
  }

  private int requiredId(String key, int vocabulary) {
    if (!has(key)) {
      throw unsuitable(key, "absent", "an id below vocab_size, " + vocabulary);
    }
    JsonNode node = json.get(key);
    if (!isInt(node)) {
      throw unsuitable(key, node, "an id below vocab_size, " + vocabulary);
    }
    return checkedId(file, key, node.intValue(), vocabulary);
  }

  private static int checkedId(Path file, String key, int id, int vocabulary) {
    if (id < 0 || id >= vocabulary) {
      throw ModelException.unsuitable(file, key, id, "an id below vocab_size, " + vocabulary);
    }
    return id;
  }

  private static boolean isInt(JsonNode node) {
    return node.isIntegralNumber() && node.canConvertToInt();
  }

  private ModelException unsuitable(String key, Object found, String wanted) {
    return ModelException.unsuitable(file, key, found, wanted);
  }

  private void logUnread() {
    if (!unread.isEmpty()) {
      LOG.log(System.Logger.Level.DEBUG, () -> file + ": keys without effect: " + unread);
    }
  }
}
