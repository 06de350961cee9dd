package dev.remask.model;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/// A model folder with random weights at any sizes, for tests.
///
/// Matrices have variance 1/inputs and norms lie near 1, so that activations keep the size they
/// have in a trained model and a tolerance means something.
record RandomModel(
    int layers,
    int heads,
    int kvHeads,
    int headDim,
    int mlpHiddenSize,
    int vocabSize,
    int embeddingSize,
    boolean weightTying,
    TensorType type,
    long seed) {

  /// Longest sequence.
  static final int MAX_LENGTH = 640;

  /// The smallest model with grouped heads, an odd feed-forward width and an odd vocabulary.
  static RandomModel small(TensorType type, long seed) {
    return new RandomModel(2, 4, 1, 64, 89, 101, 103, false, type, seed);
  }

  int dModel() {
    return heads * headDim;
  }

  RandomModel tied() {
    return new RandomModel(
        layers, heads, kvHeads, headDim, mlpHiddenSize, vocabSize, embeddingSize, true, type, seed);
  }

  /// Ids below the vocabulary size.
  int[] randomIds(int length) {
    return new Random(seed ^ length).ints(length, 0, vocabSize).toArray();
  }

  /// Writes config.json and, for `shards` 1, model.safetensors; else so many shards and an index.
  Path write(Path folder, int shards) throws IOException {
    Files.createDirectories(folder);
    Files.writeString(folder.resolve("config.json"), config());
    var files = new ArrayList<CheckpointFile>();
    for (int i = 0; i < shards; i++) {
      files.add(new CheckpointFile());
    }
    var map = new ArrayList<String>();
    var random = new Random(seed);
    List<String> names = names();
    for (int i = 0; i < names.size(); i++) {
      String name = "model.transformer." + names.get(i) + ".weight";
      int shard = i % shards;
      List<Long> shape = shape(names.get(i));
      files.get(shard).add(name, type, shape, values(shape, random));
      map.add("\"%s\":\"%s\"".formatted(name, shardName(shard, shards)));
    }
    for (int i = 0; i < shards; i++) {
      files.get(i).write(folder.resolve(shardName(i, shards)));
    }
    if (shards > 1) {
      Files.writeString(
          folder.resolve(ShardIndex.FILE), "{\"weight_map\":{" + String.join(",", map) + "}}");
    }
    return folder;
  }

  /// The same sizes with weights of 0, in a file that takes no room on most disks: for tests of
  /// memory and time that need gigabytes.
  Path writeZeros(Path folder) throws IOException {
    Files.createDirectories(folder);
    Files.writeString(folder.resolve("config.json"), config());
    var entries = new ArrayList<String>();
    long end = 0;
    for (String name : names()) {
      long begin = end;
      end += shape(name).stream().reduce(1L, Math::multiplyExact) * type.bits() / Byte.SIZE;
      entries.add(
          "\"model.transformer.%s.weight\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
              .formatted(name, type, shape(name), begin, end));
    }
    byte[] header = ("{" + String.join(",", entries) + "}").getBytes(StandardCharsets.UTF_8);
    var length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    length.putLong(0, header.length);
    try (var file = new RandomAccessFile(folder.resolve(SafeTensors.SINGLE_FILE).toFile(), "rw")) {
      file.write(length.array());
      file.write(header);
      file.setLength(Long.BYTES + header.length + end);
    }
    return folder;
  }

  private static String shardName(int shard, int shards) {
    return shards == 1
        ? SafeTensors.SINGLE_FILE
        : "model-%05d-of-%05d.safetensors".formatted(shard + 1, shards);
  }

  private List<String> names() {
    var names = new ArrayList<String>(List.of("wte", "ln_f"));
    if (!weightTying) {
      names.add("ff_out");
    }
    for (int i = 0; i < layers; i++) {
      for (String part :
          List.of(
              "attn_norm",
              "q_proj",
              "k_proj",
              "v_proj",
              "attn_out",
              "ff_norm",
              "ff_proj",
              "up_proj",
              "ff_out")) {
        names.add("blocks." + i + "." + part);
      }
    }
    return names;
  }

  private List<Long> shape(String name) {
    long d = dModel();
    long kv = (long) kvHeads * headDim;
    String part = name.substring(name.lastIndexOf('.') + 1);
    if (name.equals("wte") || name.equals("ff_out")) {
      return List.of((long) embeddingSize, d);
    }
    return switch (part) {
      case "q_proj", "attn_out" -> List.of(d, d);
      case "k_proj", "v_proj" -> List.of(kv, d);
      case "ff_proj", "up_proj" -> List.of((long) mlpHiddenSize, d);
      case "ff_out" -> List.of(d, (long) mlpHiddenSize);
      default -> List.of(d);
    };
  }

  private static float[] values(List<Long> shape, Random random) {
    boolean norm = shape.size() == 1;
    int count = Math.toIntExact(shape.stream().reduce(1L, (a, b) -> a * b));
    double scale = norm ? 0.1 : 1 / Math.sqrt(shape.getLast());
    var values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) ((norm ? 1 : 0) + scale * random.nextGaussian());
    }
    return values;
  }

  private String config() {
    return """
    {"model_type": "llada", "d_model": %d, "n_layers": %d, "n_heads": %d, "n_kv_heads": %d,
     "mlp_hidden_size": %d, "vocab_size": %d, "embedding_size": %d, "weight_tying": %s,
     "max_sequence_length": %d, "rope_theta": 10000.0, "rms_norm_eps": 1e-5,
     "mask_token_id": %d, "eos_token_id": 0}
    """
        .formatted(
            dModel(),
            layers,
            heads,
            kvHeads,
            mlpHiddenSize,
            vocabSize,
            embeddingSize,
            weightTying,
            MAX_LENGTH,
            vocabSize - 1);
  }
}
