package dev.remask.bench;

import dev.remask.model.ModelException;
import dev.remask.model.ProgressListener;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.stream.Stream;

/// Writes a [SyntheticModel] as a model folder: config.json and bf16 safetensors under LLaDA's
/// names, in shards where it is large. The reference implementation loads it, too.
///
/// Numbers are drawn by position: SplitMix64 of the seed, the tensor and the place gives 64 bits,
/// four times 16 of which choose one of 65,536 equally likely values of a normal distribution. That
/// runs at gigabytes a second, so that the disk decides how long it takes.
public final class SyntheticFiles {
  /// As the hub's shards: what a file system or a copy may choke on is larger.
  private static final long SHARD_BYTES = 4L << 30;

  private static final int BUFFER_BYTES = 8 << 20;
  private static final int BF16_BYTES = 2;
  private static final int LANES = 4;
  private static final int VALUES = 1 << 16;

  private static final String SINGLE_FILE = "model.safetensors";
  private static final String INDEX_FILE = "model.safetensors.index.json";

  // SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
  private static final long GOLDEN = 0x9e3779b97f4a7c15L;
  private static final long MIX_1 = 0xbf58476d1ce4e5b9L;
  private static final long MIX_2 = 0x94d049bb133111ebL;

  private final SyntheticModel model;
  private final ProgressListener progress;
  private final long total;
  private final Map<String, char[]> tables = new HashMap<>();
  private long done;

  private SyntheticFiles(SyntheticModel model, ProgressListener progress) {
    this.model = model;
    this.progress = progress;
    total = bytes(model);
  }

  /// Bytes of weights that the files of such a model hold.
  public static long bytes(SyntheticModel model) {
    return Math.multiplyExact(model.parameters(), (long) BF16_BYTES);
  }

  /// The model's folder below `parent`, written now unless it is there already. It appears
  /// complete, by a rename: a killed process leaves no half model.
  ///
  /// Throws [ModelException] if the file system has too little room or cannot be written.
  public static Path cached(SyntheticModel model, Path parent, ProgressListener progress) {
    Path folder = parent.resolve(model.name());
    if (!isComplete(folder)) {
      try {
        write(model, folder, progress);
      } catch (ModelException e) {
        if (!isComplete(folder)) { // as another process has just made it
          throw e;
        }
      }
    }
    return folder;
  }

  /// Writes the model to `folder`, which must not exist.
  ///
  /// Throws [ModelException] if it does, if the file system has too little room, or if it cannot be
  /// written, CancellationException when the thread is interrupted; nothing is left behind then.
  public static void write(SyntheticModel model, Path folder, ProgressListener progress) {
    Path target = folder.toAbsolutePath();
    try {
      if (Files.exists(target)) {
        throw new FileAlreadyExistsException(target.toString());
      }
      Files.createDirectories(target.getParent());
      requireRoom(model, target.getParent());
      Path partial = target.resolveSibling("partial-" + UUID.randomUUID());
      Files.createDirectory(partial);
      boolean success = false;
      try {
        new SyntheticFiles(model, progress).writeAll(partial);
        Files.move(partial, target, StandardCopyOption.ATOMIC_MOVE);
        success = true;
      } finally {
        if (!success) {
          delete(partial);
        }
      }
    } catch (ClosedByInterruptException e) {
      throw new CancellationException("the writing of random weights was interrupted");
    } catch (FileAlreadyExistsException e) {
      throw new ModelException(target + ": exists already; wanted: a folder to be made", e);
    } catch (IOException e) {
      throw new ModelException(target + ": cannot be written: " + e.getMessage(), e);
    }
  }

  private static boolean isComplete(Path folder) {
    return Files.isRegularFile(folder.resolve("config.json"));
  }

  private static void requireRoom(SyntheticModel model, Path parent) throws IOException {
    FileStore store = Files.getFileStore(parent);
    long free = store.getUsableSpace();
    long needed = bytes(model);
    if (needed > free) {
      throw new ModelException(
          ("%s: the weights of %s take %s on disk; %s are free there. Fewer layers take less;"
                  + " --save DIR, then --model DIR, or REMASK_CACHE takes another folder")
              .formatted(parent, model.name(), ByteSizes.text(needed), ByteSizes.text(free)));
    }
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(folder);
  }

  private void writeAll(Path folder) throws IOException {
    List<List<SyntheticModel.Tensor>> shards = shards();
    var index = new ArrayList<String>();
    for (int i = 0; i < shards.size(); i++) {
      String name =
          shards.size() == 1
              ? SINGLE_FILE
              : String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", i + 1, shards.size());
      for (SyntheticModel.Tensor tensor : shards.get(i)) {
        index.add("    \"" + tensor.name() + "\": \"" + name + "\"");
      }
      writeShard(folder.resolve(name), shards.get(i));
    }
    if (shards.size() > 1) {
      Files.writeString(
          folder.resolve(INDEX_FILE),
          "{\n  \"metadata\": {\"total_size\": "
              + total
              + "},\n  \"weight_map\": {\n"
              + String.join(",\n", index)
              + "\n  }\n}\n");
    }
    Files.writeString(folder.resolve("config.json"), model.configJson());
  }

  private List<List<SyntheticModel.Tensor>> shards() {
    var shards = new ArrayList<List<SyntheticModel.Tensor>>();
    long room = 0;
    for (SyntheticModel.Tensor tensor : model.tensors()) {
      long bytes = tensor.elements() * BF16_BYTES;
      if (shards.isEmpty() || bytes > room) {
        shards.add(new ArrayList<>());
        room = SHARD_BYTES;
      }
      shards.getLast().add(tensor);
      room -= bytes;
    }
    return shards;
  }

  private void writeShard(Path file, List<SyntheticModel.Tensor> tensors) throws IOException {
    try (var channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      byte[] header = header(tensors).getBytes(StandardCharsets.UTF_8);
      ByteBuffer begin =
          ByteBuffer.allocate(Long.BYTES + header.length).order(ByteOrder.LITTLE_ENDIAN);
      writeAll(channel, begin.putLong(header.length).put(header).flip());
      ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
      for (SyntheticModel.Tensor tensor : tensors) {
        writeTensor(channel, buffer, tensor);
      }
    }
  }

  /// The names and places of the tensors (by %s: %d has the locale's digits), padded to a multiple
  /// of 8 bytes, so that data is aligned.
  private static String header(List<SyntheticModel.Tensor> tensors) {
    var text = new StringBuilder("{\"__metadata__\":{\"format\":\"pt\"}");
    long offset = 0;
    for (SyntheticModel.Tensor tensor : tensors) {
      long end = offset + tensor.elements() * BF16_BYTES;
      text.append(
          ",\"%s\":{\"dtype\":\"BF16\",\"shape\":%s,\"data_offsets\":[%s,%s]}"
              .formatted(tensor.name(), tensor.shape(), offset, end));
      offset = end;
    }
    text.append('}');
    return text.append(" ".repeat(-text.length() & 7)).toString();
  }

  private void writeTensor(FileChannel channel, ByteBuffer buffer, SyntheticModel.Tensor tensor)
      throws IOException {
    // Every size is a multiple of 64 elements, so that four of them never cross the end.
    long elements = tensor.elements();
    long first = tensor.firstRow() * tensor.shape().getLast();
    char[] table = table(tensor.mean(), tensor.scale());
    long key = mix(mix(model.seed() + GOLDEN) + tensor.stream());
    for (long at = 0; at < elements; ) {
      int count = (int) Math.min(elements - at, BUFFER_BYTES / BF16_BYTES);
      LongBuffer words = buffer.clear().asLongBuffer();
      for (int i = 0; i < count; i += LANES) {
        long place = first + at + i;
        words.put(values(table, key, place >= elements ? place - elements : place));
      }
      writeAll(channel, buffer.limit(count * BF16_BYTES));
      at += count;
      done += (long) count * BF16_BYTES;
      progress.onProgress(done, total);
    }
  }

  /// Four values, the first in the lowest bits.
  private static long values(char[] table, long key, long place) {
    long bits = mix(key + place * GOLDEN);
    return (long) table[(int) (bits & 0xffff)]
        | (long) table[(int) (bits >>> 16 & 0xffff)] << 16
        | (long) table[(int) (bits >>> 32 & 0xffff)] << 32
        | (long) table[(int) (bits >>> 48)] << 48;
  }

  private static long mix(long z) {
    long x = (z ^ z >>> 30) * MIX_1;
    x = (x ^ x >>> 27) * MIX_2;
    return x ^ x >>> 31;
  }

  /// The bf16 of `mean + scale * z` for each of the equally likely z.
  private char[] table(double mean, double scale) {
    return tables.computeIfAbsent(
        mean + ":" + scale,
        unused -> {
          var table = new char[VALUES];
          for (int i = 0; i < VALUES; i++) {
            table[i] = bf16((float) (mean + scale * NormalValues.Z[i]));
          }
          return table;
        });
  }

  /// Rounds to nearest even; of finite values.
  private static char bf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    return (char) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
  }

  private static void writeAll(FileChannel channel, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  /// The middles of 65,536 equally likely parts of the normal distribution.
  private static final class NormalValues {
    static final float[] Z = values();

    private static final double END = 6;

    private NormalValues() {}

    private static float[] values() {
      // The distribution summed up along a fine grid, and noted where it passes each middle.
      var z = new float[VALUES];
      double step = 1.0 / (1 << 14);
      double sum = 0;
      int next = 0;
      for (double x = -END; x < END && next < VALUES; x += step) {
        double middle = x + step / 2;
        sum += Math.exp(-middle * middle / 2) / Math.sqrt(2 * Math.PI) * step;
        while (next < VALUES && sum >= (next + 0.5) / VALUES) {
          z[next++] = (float) (x + step);
        }
      }
      while (next < VALUES) {
        z[next++] = (float) END;
      }
      return z;
    }
  }
}
