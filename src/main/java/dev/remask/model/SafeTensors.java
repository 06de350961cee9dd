package dev.remask.model;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// The tensors of a model, memory-mapped: one `model.safetensors`, or the shards that
/// `model.safetensors.index.json` names.
///
/// Opening reads and checks headers only; it costs address space, not memory. Offsets are checked
/// against the sizes that the files had when they were opened: whoever shortens a mapped file makes
/// later reads of it fail with an InternalError (SIGBUS), which the loading of weights reports as a
/// ModelException. Any thread; close when no thread reads any more.
public final class SafeTensors implements AutoCloseable {
  static final String SINGLE_FILE = "model.safetensors";

  // Shared, because the device thread reads what another thread opened; closed once per model.
  private final Arena arena;
  private final Map<String, TensorInfo> tensors = new LinkedHashMap<>();
  private final Map<Path, MemorySegment> contents = new LinkedHashMap<>();

  private SafeTensors() {
    arena = Arena.ofShared();
  }

  /// Opens a file, or the one or several files of a folder. Throws ModelException when a file is
  /// missing, is no safetensors file, or breaks a rule of the format; nothing stays open then.
  public static SafeTensors open(Path fileOrFolder) {
    var opened = new SafeTensors();
    boolean success = false;
    try {
      if (Files.isDirectory(fileOrFolder)) {
        opened.addFolder(fileOrFolder);
      } else {
        opened.addFile(fileOrFolder);
      }
      success = true;
      return opened;
    } finally {
      if (!success) {
        opened.close();
      }
    }
  }

  /// All tensors by name.
  public Map<String, TensorInfo> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  /// The bytes of a tensor, read-only and unaligned, valid until close.
  MemorySegment data(String name) {
    TensorInfo info = tensors.get(name);
    if (info == null) {
      throw new IllegalArgumentException("no tensor named " + name);
    }
    return contents.get(info.file()).asSlice(info.offset(), info.bytes());
  }

  /// Unmaps the files. A second call does nothing.
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }

  private void addFolder(Path folder) {
    Path single = folder.resolve(SINGLE_FILE);
    Path index = folder.resolve(ShardIndex.FILE);
    if (Files.exists(single)) {
      addFile(single);
    } else if (Files.exists(index)) {
      Map<String, Path> shards = ShardIndex.read(index);
      shards.values().stream().distinct().forEach(this::addFile);
      shards.forEach((tensor, shard) -> checkShard(index, tensor, shard));
    } else {
      throw new ModelException(
          folder + ": no weights; wanted: " + SINGLE_FILE + " or " + ShardIndex.FILE);
    }
  }

  private void checkShard(Path index, String tensor, Path shard) {
    TensorInfo info = tensors.get(tensor);
    if (info == null || !info.file().equals(shard)) {
      throw ModelException.unsuitable(
          index,
          "weight_map." + tensor,
          shard.getFileName(),
          "the file that holds it" + (info == null ? "" : ", " + info.file().getFileName()));
    }
  }

  private void addFile(Path file) {
    MemorySegment content = map(file);
    List<TensorInfo> header = SafeTensorsHeader.parse(file, content);
    contents.put(file, content);
    for (TensorInfo tensor : header) {
      TensorInfo other = tensors.putIfAbsent(tensor.name(), tensor);
      if (other != null) {
        throw ModelException.unsuitable(
            file, tensor.name(), "also in " + other.file().getFileName(), "each tensor once");
      }
    }
  }

  private MemorySegment map(Path file) {
    // Anything but a regular file could block for ever or change its size.
    if (!Files.isRegularFile(file)) {
      throw new ModelException(
          file + (Files.exists(file) ? ": not a regular file" : ": no such file"));
    }
    try (var channel = FileChannel.open(file, StandardOpenOption.READ)) {
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
    } catch (IOException e) {
      throw new ModelException(file + ": cannot be read: " + ModelException.quoted(e), e);
    }
  }
}
