package dev.remask.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Spoils tensors of a copied checkpoint.
public final class SafeTensorsEdit {
  private SafeTensorsEdit() {}

  /// Makes every value of an F32 tensor NaN.
  public static void overwriteWithNaN(Path safetensors, String tensor) throws IOException {
    overwrite(safetensors, tensor, -1);
  }

  /// Makes one row of an F32 matrix NaN.
  public static void overwriteRowWithNaN(Path safetensors, String tensor, int row)
      throws IOException {
    overwrite(safetensors, tensor, row);
  }

  private static void overwrite(Path safetensors, String tensor, int row) throws IOException {
    try (var file = new RandomAccessFile(safetensors.toFile(), "rw");
        FileChannel channel = file.getChannel()) {
      ByteBuffer size = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      channel.read(size, 0);
      ByteBuffer header = ByteBuffer.allocate((int) size.getLong(0));
      channel.read(header, Long.BYTES);
      JsonNode entry = JsonMapper.shared().readTree(header.array()).get(tensor);
      assertEquals("F32", entry.get("dtype").asString());
      long begin = Long.BYTES + header.capacity() + entry.get("data_offsets").get(0).asLong();
      long end = Long.BYTES + header.capacity() + entry.get("data_offsets").get(1).asLong();
      if (row >= 0) {
        long bytes = (end - begin) / entry.get("shape").get(0).asLong();
        begin += row * bytes;
        end = begin + bytes;
      }
      ByteBuffer values = ByteBuffer.allocate((int) (end - begin)).order(ByteOrder.LITTLE_ENDIAN);
      while (values.hasRemaining()) {
        values.putFloat(Float.NaN);
      }
      channel.write(values.flip(), begin);
    }
  }
}
