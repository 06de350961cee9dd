package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Every key of config.json that has a bearing on the computation, and what else may stand there.
class ModelConfigTest {
  private static final JsonMapper JSON = new JsonMapper();

  @TempDir private Path folder;

  @Test
  void readsTinyLlada() {
    assertEquals(
        new ModelConfig(
            256, 4, 2, 2, 768, 2048, 2048, 1024, 500000, 1e-5f, false, 2047, 2043, 2043, -1),
        ModelConfig.read(TestModels.tinyLlada()));
  }

  @Test
  void readsMicro() {
    var config = ModelConfig.read(TestModels.micro());
    assertEquals(
        new ModelConfig(128, 2, 2, 1, 176, 500, 512, 512, 10000, 1e-5f, false, 499, 497, 497, 498),
        config);
    assertEquals(64, config.headDim());
    assertEquals(256, config.qkvWidth());
  }

  @Test
  void defaultsFollowTheOfficialCode() throws IOException {
    var config =
        read(
            "n_kv_heads", "null",
            "embedding_size", "null",
            "mlp_hidden_size", "null",
            "mlp_ratio", "4",
            "eos_token_id", "null",
            "eot_token_id", "null");
    assertEquals(2, config.kvHeads());
    assertEquals(500, config.embeddingSize());
    assertEquals(512, config.mlpHiddenSize());
    assertEquals(ModelConfig.NONE, config.eosTokenId());
    assertEquals(ModelConfig.NONE, config.eotTokenId());
    assertEquals(1, read("n_kv_heads", "null", "multi_query_attention", "true").kvHeads());
    assertTrue(read("weight_tying", "true").weightTying());
    assertFalse(read("weight_tying", "null").weightTying());
  }

  @Test
  void eosComesFromGenerationConfig_whenConfigHasNone() throws IOException {
    Files.writeString(folder.resolve("generation_config.json"), "{\"eos_token_id\":[7,8]}");
    assertEquals(497, read().eosTokenId());
    assertEquals(7, read("eos_token_id", "null").eosTokenId());
    Files.writeString(folder.resolve("generation_config.json"), "{\"eos_token_id\":500}");
    var refusal = assertThrows(ModelException.class, () -> read("eos_token_id", "null"));
    assertTrue(refusal.getMessage().contains("generation_config.json"), refusal.getMessage());
  }

  @ParameterizedTest
  @CsvSource({
    "alibi, true",
    "rope, false",
    "input_emb_norm, true",
    "block_group_size, 2",
    "block_type, '\"sequential\"'",
    "block_type, 3",
    "layer_norm_type, '\"default\"'",
    "activation_type, '\"gelu\"'",
    "include_bias, true",
    "include_qkv_bias, true",
    "bias_for_layer_norm, true",
    "attention_layer_norm, true",
    "scale_logits, true",
    "model_type, '\"dream\"'",
    "layer_norm_with_affine, false",
    "clip_qkv, 8.0",
    "rope_scaling, {}",
    "quantization_config, {}",
    "alibi, '\"false\"'",
    "rope_full_precision, 1"
  })
  void refusesUnsupportedValue_byName(String key, String value) {
    assertRefused(key, key, value);
  }

  static Stream<Arguments> badValues() {
    return Stream.of(
        Arguments.of("d_model", "null"),
        Arguments.of("d_model", "0"),
        Arguments.of("d_model", "-128"),
        Arguments.of("d_model", "128.0"),
        Arguments.of("d_model", "\"128\""),
        Arguments.of("d_model", "129"),
        Arguments.of("d_model", "256000000000"),
        Arguments.of("n_heads", "0"),
        Arguments.of("n_heads", "[2]"),
        Arguments.of("n_kv_heads", "0"),
        Arguments.of("n_kv_heads", "3"),
        Arguments.of("n_layers", "0"),
        Arguments.of("n_layers", "5000"),
        Arguments.of("mlp_hidden_size", "0"),
        Arguments.of("mlp_hidden_size", "null"),
        Arguments.of("vocab_size", "0"),
        Arguments.of("vocab_size", "1e3"),
        Arguments.of("embedding_size", "499"),
        Arguments.of("max_sequence_length", "0"),
        Arguments.of("max_sequence_length", "true"),
        Arguments.of("rope_theta", "0"),
        Arguments.of("rope_theta", "-1"),
        Arguments.of("rope_theta", "1e999"),
        Arguments.of("rope_theta", "null"),
        Arguments.of("rms_norm_eps", "\"1e-5\""),
        Arguments.of("rms_norm_eps", "1e-60"),
        Arguments.of("weight_tying", "0"),
        Arguments.of("mask_token_id", "null"),
        Arguments.of("mask_token_id", "500"),
        Arguments.of("mask_token_id", "-1"),
        Arguments.of("mask_token_id", "499.5"),
        Arguments.of("eos_token_id", "500"),
        Arguments.of("pad_token_id", "-1"),
        Arguments.of("eot_token_id", "4294967296"));
  }

  @ParameterizedTest
  @MethodSource("badValues")
  void refusesBadValue_byName(String key, String value) {
    assertRefused(key, key, value);
  }

  @Test
  void refusesHeadSizeWithoutKernel() {
    assertRefused("d_model / n_heads is 32", "n_heads", "4");
  }

  @Test
  void refusesContradiction() throws IOException {
    assertRefused("n_kv_heads", "multi_query_attention", "true", "n_kv_heads", "2");
    assertRefused("mlp_ratio", "mlp_hidden_size", "null", "mlp_ratio", "1000000");
  }

  @ParameterizedTest
  @CsvSource({
    "'', no JSON object",
    "'[1]', no JSON object",
    "'{', not valid JSON",
    "'{\"d_model\":1,\"d_model\":2}', Duplicate",
    "'{} []', not valid JSON"
  })
  void refusesFile(String content, String message) throws IOException {
    Files.writeString(folder.resolve("config.json"), content);
    assertMessage(message);
  }

  @Test
  void refusesWhatIsNoModelFolder() {
    assertMessage("config.json: no such file");
    var refusal =
        assertThrows(ModelException.class, () -> ModelConfig.read(folder.resolve("absent")));
    assertTrue(refusal.getMessage().contains("no such folder"), refusal.getMessage());
  }

  @Test
  void refusesHugeFile() throws IOException {
    Files.writeString(folder.resolve("config.json"), " ".repeat((4 << 20) + 1));
    assertMessage("larger than");
  }

  @Test
  void messagesQuoteBoundedText() throws IOException {
    var refusal =
        assertThrows(
            ModelException.class, () -> read("block_type", '"' + "x\\n".repeat(100_000) + '"'));
    assertTrue(refusal.getMessage().length() < 600, refusal.getMessage());
    assertFalse(refusal.getMessage().contains("\n"), refusal.getMessage());
  }

  /// Reads micro's config with keys set to JSON texts.
  private ModelConfig read(String... keysAndValues) throws IOException {
    var json =
        (ObjectNode) JSON.readTree(Files.readAllBytes(TestModels.micro().resolve("config.json")));
    for (int i = 0; i < keysAndValues.length; i += 2) {
      json.set(keysAndValues[i], JSON.readTree(keysAndValues[i + 1]));
    }
    Files.writeString(folder.resolve("config.json"), json.toString());
    return ModelConfig.read(folder);
  }

  private void assertRefused(String part, String... keysAndValues) {
    var refusal = assertThrows(ModelException.class, () -> read(keysAndValues));
    assertTrue(refusal.getMessage().contains(part), refusal.getMessage());
    assertTrue(
        refusal.getMessage().startsWith(folder.resolve("config.json").toString()),
        refusal.getMessage());
  }

  private void assertMessage(String part) {
    var refusal = assertThrows(ModelException.class, () -> ModelConfig.read(folder));
    assertTrue(refusal.getMessage().contains(part), refusal.getMessage());
  }
}
