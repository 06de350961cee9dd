package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// Well-formed and hostile safetensors files: only ModelException may come out of the latter.
class SafeTensorsTest {
  private static final long SEED = 0x5afe7e5;

  @TempDir private Path folder;

  @Test
  void opensFile_andFindsBytes() throws IOException {
    Path file = folder.resolve("a.safetensors");
    new CheckpointFile()
        .add("b", TensorType.U8, List.of(3L), new byte[] {1, 2, 3})
        .add("empty", TensorType.F32, List.of(0L, 7L), new byte[0])
        .add("scalar", TensorType.F32, List.of(), new float[] {1.5f})
        .write(file);
    try (var tensors = SafeTensors.open(file)) {
      assertEquals(3, tensors.tensors().size());
      assertArrayEquals(new byte[] {1, 2, 3}, tensors.data("b").toArray(ValueLayout.JAVA_BYTE));
      assertEquals(0, tensors.data("empty").byteSize());
      assertEquals(1.5f, tensors.data("scalar").get(ValueLayout.JAVA_FLOAT_UNALIGNED, 0));
      assertTrue(tensors.data("b").isReadOnly());
    }
  }

  @Test
  void opensGoldenModels() {
    try (var tiny = SafeTensors.open(TestModels.tinyLlada());
        var micro = SafeTensors.open(TestModels.micro())) {
      assertEquals(4 * 9 + 3, tiny.tensors().size());
      assertEquals(2 * 9 + 3, micro.tensors().size());
      assertEquals(
          List.of(2048L, 256L), tiny.tensors().get("model.transformer.wte.weight").shape());
    }
  }

  @Test
  void padsHeaderWithSpaces_asWritersDo() throws IOException {
    Path file = folder.resolve("a.safetensors");
    Files.write(
        file, CheckpointFile.bytes("{\"__metadata__\":{\"format\":\"pt\"}}   ", new byte[0]));
    try (var tensors = SafeTensors.open(file)) {
      assertTrue(tensors.tensors().isEmpty());
    }
  }

  @Test
  void afterClose_dataThrows() throws IOException {
    Path file = folder.resolve("a.safetensors");
    new CheckpointFile().add("b", TensorType.U8, List.of(1L), new byte[1]).write(file);
    var tensors = SafeTensors.open(file);
    var data = tensors.data("b");
    tensors.close();
    tensors.close();
    assertThrows(IllegalStateException.class, () -> data.get(ValueLayout.JAVA_BYTE, 0));
  }

  static Stream<Arguments> badHeaders() {
    String good = "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}";
    return Stream.of(
        Arguments.of("", "header's length"),
        Arguments.of("[]", "first byte"),
        Arguments.of(" {}", "first byte"),
        Arguments.of("{\"", "not valid JSON"),
        Arguments.of("{}", "the data is 4 bytes long"),
        Arguments.of("{" + good + "} x", "not valid JSON"),
        Arguments.of("{" + good + "}{}", "followed by more JSON"),
        Arguments.of("{" + good + "," + good + "}", "not valid JSON: Duplicate"),
        Arguments.of("{\"a\":[]}", "START_OBJECT"),
        Arguments.of("{\"a\":{}}", "incomplete"),
        Arguments.of("{\"__metadata__\":7," + good + "}", "__metadata__"),
        Arguments.of(good("dtype\":\"U8", "dtype\":\"Q4_0"), "Q4_0"),
        Arguments.of(good("dtype\":\"U8", "dtype\":\"u8"), "a type of the format"),
        Arguments.of(good("\"U8\"", "8"), "VALUE_STRING"),
        Arguments.of(good("[4]", "[-4]"), "no negative"),
        Arguments.of(good("[4]", "[4.0]"), "VALUE_NUMBER_INT"),
        Arguments.of(good("[4]", "[\"4\"]"), "VALUE_NUMBER_INT"),
        Arguments.of(good("[4]", "4"), "START_ARRAY"),
        Arguments.of(good("[4]", "[5]"), "a range of 5.0 bytes"),
        Arguments.of(good("[4]", "[99999999999999999999]"), "not valid JSON"),
        Arguments.of(good("[4]", "[4294967296,4294967296,4294967296]"), "product"),
        Arguments.of(good("[4]", "[" + "1,".repeat(80) + "4]"), "longer than 64"),
        Arguments.of(good("\"U8\",\"shape\":[4]", "\"F4\",\"shape\":[9]"), "a range of 4.5 bytes"),
        Arguments.of(good("[0,4]", "[0,5]"), "end <= 4"),
        Arguments.of(good("[0,4]", "[4,0]"), "begin <= end"),
        Arguments.of(good("[0,4]", "[0]"), "[begin, end]"),
        Arguments.of(good("[0,4]", "[0,4,4]"), "longer than 2"),
        Arguments.of(good("[0,4]", "[-1,3]"), "no negative"),
        Arguments.of(good("[0,4]", "[9223372036854775807,9223372036854775807]"), "end <= 4"),
        Arguments.of(good("[4],\"data_offsets\":[0,4]", "[3],\"data_offsets\":[1,4]"), "not dir"),
        Arguments.of(good("[4],\"data_offsets\":[0,4]", "[3],\"data_offsets\":[0,3]"), "the data"),
        Arguments.of(
            "{" + good + ",\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
            "overlapping a"),
        Arguments.of("{\"a\":" + "[".repeat(5000) + "}", "START_OBJECT"),
        Arguments.of("{\"a\":{\"x\":" + "[".repeat(5000) + "}}", "not valid JSON"));
  }

  private static String good(String part, String replaced) {
    String good = "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}";
    assertTrue(good.contains(part), part);
    return good.replace(part, replaced);
  }

  @ParameterizedTest
  @MethodSource("badHeaders")
  void refusesHeader(String header, String message) throws IOException {
    refuses(CheckpointFile.bytes(header, new byte[4]), message);
  }

  static Stream<Arguments> badFiles() {
    byte[] none = {};
    byte[] header = "{}".getBytes(StandardCharsets.UTF_8);
    byte[] utf16 = "{}".getBytes(StandardCharsets.UTF_16LE);
    byte[] badUtf8 = {'{', '"', (byte) 0xc0, (byte) 0x80, '"', ':', '{', '}', '}'};
    return Stream.of(
        Arguments.of(none, "0 bytes long"),
        Arguments.of(new byte[7], "7 bytes long"),
        Arguments.of(new byte[8], "header's length is 0"),
        Arguments.of(CheckpointFile.bytes(3, header, none), "header's length is 3"),
        Arguments.of(CheckpointFile.bytes(-1, header, none), "18446744073709551615"),
        Arguments.of(CheckpointFile.bytes(Long.MIN_VALUE, header, none), "9223372036854775808"),
        Arguments.of(CheckpointFile.bytes(utf16.length, utf16, none), "not valid JSON"),
        Arguments.of(CheckpointFile.bytes(badUtf8.length, badUtf8, none), "not valid JSON"),
        Arguments.of("<html>404 not found</html>".getBytes(StandardCharsets.UTF_8), "length"));
  }

  @ParameterizedTest
  @MethodSource("badFiles")
  void refusesFile(byte[] content, String message) throws IOException {
    refuses(content, message);
  }

  @Test
  void refusesHeaderAboveTheLimit_withoutReadingIt() throws IOException {
    Path file = folder.resolve("big.safetensors");
    Files.write(
        file,
        CheckpointFile.bytes(SafeTensorsHeader.MAX_HEADER_BYTES + 1, new byte[0], new byte[0]));
    try (var out = new java.io.RandomAccessFile(file.toFile(), "rw")) {
      out.setLength(SafeTensorsHeader.MAX_HEADER_BYTES + 4096);
    }
    var refusal = assertThrows(ModelException.class, () -> SafeTensors.open(file).close());
    assertTrue(refusal.getMessage().contains("100000001"), refusal.getMessage());
  }

  /// Bytes of a good header are changed, deleted, doubled or cut at random.
  @Test
  void refusesMutations_withModelExceptionOnly() throws IOException {
    byte[] good =
        new CheckpointFile()
            .add("model.a", TensorType.F32, List.of(2L, 3L), new byte[24])
            .add("model.b", TensorType.BF16, List.of(4L), new byte[8])
            .add("model.c", TensorType.I64, List.of(), new byte[8])
            .bytes();
    Path file = folder.resolve("mutated.safetensors");
    int refused = 0;
    int rounds = 4000;
    for (int round = 0; round < rounds; round++) {
      byte[] mutated = mutate(good, new Random(SEED + round));
      Files.write(file, mutated);
      try (var tensors = SafeTensors.open(file)) {
        for (String name : tensors.tensors().keySet()) {
          tensors.data(name).toArray(ValueLayout.JAVA_BYTE);
        }
      } catch (ModelException e) {
        refused++;
        assertTrue(e.getMessage().startsWith(file.toString()), e.getMessage());
      } catch (RuntimeException | Error e) {
        throw new AssertionError("seed " + (SEED + round), e);
      }
    }
    assertTrue(refused > rounds / 2, refused + " of " + rounds);
  }

  private static byte[] mutate(byte[] good, Random random) {
    byte[] bytes = good.clone();
    int changes = 1 + random.nextInt(3);
    for (int i = 0; i < changes; i++) {
      int at = random.nextInt(bytes.length);
      switch (random.nextInt(5)) {
        case 0 -> bytes[at] = (byte) random.nextInt();
        case 1 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
        case 2 -> bytes[at] = (byte) "0123456789[]{},:\"- e.".charAt(random.nextInt(21));
        case 3 -> bytes = java.util.Arrays.copyOf(bytes, Math.max(1, at));
        default -> {
          // Doubles a part, keeping what follows.
          int length = Math.min(random.nextInt(32), bytes.length - at);
          byte[] longer = new byte[bytes.length + length];
          System.arraycopy(bytes, 0, longer, 0, at + length);
          System.arraycopy(bytes, at, longer, at + length, bytes.length - at);
          bytes = longer;
        }
      }
    }
    return bytes;
  }

  @Test
  void refusesWhatIsNoFile() throws IOException {
    assertMessage(folder.resolve("absent.safetensors"), "no such file");
    assertMessage(folder, "no weights");
    Path odd = Files.createDirectories(folder.resolve("m/model.safetensors")).getParent();
    assertMessage(odd, "not a regular file");
  }

  @Test
  void opensShards() throws IOException {
    shards("a", "b");
    index("\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"");
    try (var tensors = SafeTensors.open(folder)) {
      assertEquals(List.of("a", "b"), List.copyOf(tensors.tensors().keySet()));
      assertEquals(1, tensors.data("a").get(ValueLayout.JAVA_BYTE, 0));
      assertEquals(2, tensors.data("b").get(ValueLayout.JAVA_BYTE, 0));
    }
  }

  @Test
  void opensShards_throughLinksOutOfTheFolder() throws IOException {
    // The hub's cache keeps its files so.
    Path blobs = Files.createDirectories(folder.resolve("blobs"));
    Path snapshot = Files.createDirectories(folder.resolve("snapshot"));
    Path blob = blobs.resolve("0123");
    new CheckpointFile().add("a", TensorType.U8, List.of(1L), new byte[1]).write(blob);
    Files.createSymbolicLink(snapshot.resolve("1.safetensors"), Path.of("../blobs/0123"));
    Files.writeString(
        snapshot.resolve(ShardIndex.FILE), "{\"weight_map\":{\"a\":\"1.safetensors\"}}");
    try (var tensors = SafeTensors.open(snapshot)) {
      assertEquals(1, tensors.tensors().size());
    }
  }

  static Stream<Arguments> badIndexes() {
    return Stream.of(
        Arguments.of("\"a\":\"3.safetensors\"", "3.safetensors: no such file"),
        Arguments.of("\"a\":\"../1.safetensors\"", "a file in the index's folder"),
        Arguments.of("\"a\":\"/etc/passwd\"", "a file in the index's folder"),
        Arguments.of("\"a\":\"sub/1.safetensors\"", "a file in the index's folder"),
        Arguments.of("\"a\":\"..\"", "a file in the index's folder"),
        Arguments.of("\"a\":\".\"", "a file in the index's folder"),
        Arguments.of("\"a\":\"\"", "a file in the index's folder"),
        Arguments.of("\"a\":\"\\u0000\"", "a file in the index's folder"),
        Arguments.of("\"a\":7", "a file in the index's folder"),
        Arguments.of("\"a\":\"2.safetensors\"", "weight_map.a is 2.safetensors"),
        Arguments.of("\"a\":\"1.safetensors\",\"a\":\"1.safetensors\"", "Duplicate"),
        Arguments.of("\"c\":\"1.safetensors\"", "weight_map.c is 1.safetensors"),
        Arguments.of("", "weight_map"));
  }

  @ParameterizedTest
  @MethodSource("badIndexes")
  void refusesIndex(String weightMap, String message) throws IOException {
    shards("a", "b");
    index(weightMap);
    assertMessage(folder, message);
  }

  @Test
  void refusesTensorInTwoShards() throws IOException {
    shards("a", "b");
    new CheckpointFile()
        .add("b", TensorType.U8, List.of(1L), new byte[1])
        .add("a", TensorType.U8, List.of(1L), new byte[1])
        .write(folder.resolve("2.safetensors"));
    index("\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"");
    assertMessage(folder, "a is also in 1.safetensors");
  }

  @ParameterizedTest
  @MethodSource("notIndexes")
  void refusesIndexFile(String content, String message) throws IOException {
    Files.writeString(folder.resolve(ShardIndex.FILE), content);
    assertMessage(folder, message);
  }

  static Stream<Arguments> notIndexes() {
    return Stream.of(
        Arguments.of("", "no JSON object"),
        Arguments.of("[]", "no JSON object"),
        Arguments.of("{\"", "not valid JSON"),
        Arguments.of("{}", "weight_map is absent"),
        Arguments.of("{} {}", "not valid JSON"),
        Arguments.of("{\"weight_map\":[]}", "weight_map is []"));
  }

  private void shards(String... names) throws IOException {
    for (int i = 0; i < names.length; i++) {
      new CheckpointFile()
          .add(names[i], TensorType.U8, List.of(1L), new byte[] {(byte) (i + 1)})
          .write(folder.resolve((i + 1) + ".safetensors"));
    }
  }

  private void index(String weightMap) throws IOException {
    Files.writeString(
        folder.resolve(ShardIndex.FILE), "{\"metadata\":{},\"weight_map\":{" + weightMap + "}}");
  }

  private void refuses(byte[] content, String message) throws IOException {
    Path file = folder.resolve("bad.safetensors");
    Files.write(file, content);
    assertMessage(file, message);
  }

  private static void assertMessage(Path path, String part) {
    var refusal = assertThrows(ModelException.class, () -> SafeTensors.open(path).close());
    assertTrue(refusal.getMessage().contains(part), refusal.getMessage());
  }
}
