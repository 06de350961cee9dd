package dev.remask.model;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/// Writes safetensors files for tests, well-formed or not.
final class CheckpointFile {
  private final List<String> entries = new ArrayList<>();
  private final ByteArrayOutputStream data = new ByteArrayOutputStream();

  /// Adds a tensor with the bytes as they are.
  CheckpointFile add(String name, TensorType type, List<Long> shape, byte[] bytes) {
    entries.add(
        "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
            .formatted(name, type, shape, data.size(), data.size() + bytes.length));
    data.writeBytes(bytes);
    return this;
  }

  /// Adds a tensor whose elements are rounded to `type`.
  CheckpointFile add(String name, TensorType type, List<Long> shape, float[] values) {
    var bytes = ByteBuffer.allocate(values.length * type.bits() / 8).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      switch (type) {
        case F32 -> bytes.putFloat(value);
        case F16 -> bytes.putShort(Float.floatToFloat16(value));
        case BF16 -> bytes.putShort(Conversion.toBf16(Float.floatToRawIntBits(value)));
        default -> throw new IllegalArgumentException(type.name());
      }
    }
    return add(name, type, shape, bytes.array());
  }

  String header() {
    return entries.stream().collect(Collectors.joining(",", "{", "}"));
  }

  byte[] bytes() {
    return bytes(header(), data.toByteArray());
  }

  void write(Path file) throws IOException {
    Files.write(file, bytes());
  }

  /// A file with any header and data.
  static byte[] bytes(String header, byte[] data) {
    byte[] text = header.getBytes(StandardCharsets.UTF_8);
    return bytes(text.length, text, data);
  }

  /// A file that claims a header length.
  static byte[] bytes(long length, byte[] header, byte[] data) {
    return ByteBuffer.allocate(8 + header.length + data.length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(length)
        .put(header)
        .put(data)
        .array();
  }
}
