package dev.remask.kernel;

import dev.remask.cuda.CudaException;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.GraphBuilder;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;

/// Decides, at the end of a step inside a WHILE node, whether the loop goes on.
public final class LoopWhile {
  private static final String OPERATION = "loop";
  private static final int THREADS = 256;

  /// What cuModuleLoadData says of an image that it cannot use: INVALID_IMAGE, NO_BINARY_FOR_GPU,
  /// INVALID_PTX, UNSUPPORTED_PTX_VERSION, SHARED_OBJECT_SYMBOL_NOT_FOUND, NOT_FOUND.
  private static final Set<Integer> UNUSABLE_IMAGE = Set.of(200, 209, 218, 222, 302, 500);

  private final Kernel kernel;

  /// What a launch reads: progress `Progress[slots]` and members `Member[≥ count]` as
  /// [DiffusionState] lays them out, control i32[1], mapped host memory.
  public record Buffers(DeviceBuffer progress, DeviceBuffer members, DeviceBuffer control) {}

  private LoopWhile(Module module) {
    kernel =
        module.kernel(
            "loop_while",
            Parameter.I64,
            Parameter.POINTER,
            Parameter.POINTER,
            Parameter.I32,
            Parameter.POINTER);
  }

  /// Loads the kernel; empty where the driver cannot load its image, which asks for more of a
  /// driver than the others do.
  static Optional<LoopWhile> load(Function<String, Module> modules) {
    Module module;
    try {
      module = modules.apply(OPERATION);
    } catch (CudaException e) {
      if (UNUSABLE_IMAGE.contains(e.code())) {
        return Optional.empty();
      }
      throw e;
    }
    return Optional.of(new LoopWhile(module));
  }

  /// Sets `condition` to 1 if each of the first `count` members is RUNNING and the control word is
  /// 0, and to 0 otherwise. To be captured into the graph that the condition belongs to. Device
  /// thread only.
  ///
  /// Throws IllegalArgumentException if a buffer is too small, CudaException if the launch is
  /// refused.
  public void launch(Stream stream, GraphBuilder.Condition condition, Buffers buffers, int count) {
    Launch.requirePositive(OPERATION, "count", count);
    Launch.requireBuffer(
        OPERATION, "members", buffers.members, 1, count, DiffusionState.MEMBER_BYTES);
    Launch.requireBuffer(OPERATION, "control", buffers.control, Integer.BYTES, 1, 1);
    kernel.set(0, condition.handle()).set(1, buffers.progress).set(2, buffers.members);
    kernel.set(3, count).set(4, buffers.control);
    kernel.launch(stream, 1, 1, 1, THREADS, 0);
  }
}
