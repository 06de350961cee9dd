package dev.remask.model;

import java.nio.file.Path;
import java.util.List;

/// Where a tensor stands, as the header of its file says; checked against the file's size.
///
/// @param name the tensor's name
/// @param type the type of its elements
/// @param shape its dimensions, outermost first; empty for a scalar
/// @param file the file that holds it
/// @param offset its first byte, counted from the start of the file
/// @param bytes its size
public record TensorInfo(
    String name, TensorType type, List<Long> shape, Path file, long offset, long bytes) {
  /// Copies the shape.
  public TensorInfo {
    shape = List.copyOf(shape);
  }
}
