package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.remask.support.Flight;
import dev.remask.support.Pending;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.stream.IntStream;

/// A kernel with its argument buffer. Device thread.
///
/// Parameters are set one by one, in place, and stay set from launch to launch; a launch passes the
/// whole buffer, which the driver copies during the call. Neither allocates.
public final class Kernel {
  /// The type of a parameter: its size and alignment in the packed argument buffer.
  public enum Parameter {
    /// A device pointer.
    POINTER(8, 8),
    /// A C `int`.
    I32(4, 4),
    /// A C `float`.
    F32(4, 4),
    /// A C `long long`.
    I64(8, 8),
    /// The struct `SpecialTokens` by value: four `int`.
    SPECIAL_TOKENS(16, 4),
    /// `remask::ptx::TensorMap` by value, aligned to 64 bytes in C++.
    TENSOR_MAP((int) Structs.CUtensorMap.byteSize(), 64);

    private final int bytes;
    private final int alignment;

    Parameter(int bytes, int alignment) {
      this.bytes = bytes;
      this.alignment = alignment;
    }
  }

  /// Above this much dynamic shared memory a kernel must have asked for it.
  private static final int DEFAULT_SHARED_BYTES = 48 * 1024;

  private static final int MAX_PARAMETERS = 64;
  private static final int EXTRA_ENTRIES = 5;

  private final Module module;
  private final String name;
  private final long handle;
  private final Parameter[] layout;
  private final int[] offsets;
  private final MemorySegment arguments;

  /// What encoding a tensor map reads; null without such a parameter.
  private final MemorySegment tensorMapScratch;

  /// The `extra` array of cuLaunchKernel: where the argument buffer is and how long.
  private final long extra;

  /// A bit for each parameter that has never been set.
  private long unset;

  private int allowedSharedBytes = DEFAULT_SHARED_BYTES;

  Kernel(Module module, Arena arena, String name, long handle, Parameter[] layout) {
    if (layout.length > MAX_PARAMETERS) {
      throw new IllegalArgumentException(name + ": at most " + MAX_PARAMETERS + " parameters");
    }
    this.module = module;
    this.name = name;
    this.handle = handle;
    this.layout = layout.clone();
    this.offsets = new int[layout.length];
    int bytes = 0;
    for (int i = 0; i < layout.length; i++) {
      offsets[i] = alignUp(bytes, layout[i].alignment);
      bytes = offsets[i] + layout[i].bytes;
    }
    verifyLayout();
    // So aligned, every tensor map inside is as the driver wants it.
    this.arguments = arena.allocate(Math.max(bytes, 1), Structs.CUtensorMap.byteAlignment());
    this.tensorMapScratch =
        Arrays.asList(layout).contains(Parameter.TENSOR_MAP)
            ? arena.allocate(TensorMap.SCRATCH_BYTES, 8)
            : null;
    this.extra = writeExtra(arena, bytes);
    this.unset = layout.length == 64 ? -1L : (1L << layout.length) - 1;
  }

  /// Sets a pointer parameter; null is the null pointer.
  ///
  /// @throws IllegalStateException if the buffer's memory is closed
  public Kernel set(int index, DeviceBuffer buffer) {
    if (buffer == null) {
      check(index, Parameter.POINTER);
      arguments.set(JAVA_LONG, offsets[index], 0L);
      return this;
    }
    check(index, Parameter.POINTER);
    module.checkSameContext(buffer.memory());
    arguments.set(JAVA_LONG, offsets[index], buffer.address());
    return this;
  }

  /// Sets an `int` parameter.
  public Kernel set(int index, int value) {
    check(index, Parameter.I32);
    arguments.set(JAVA_INT, offsets[index], value);
    return this;
  }

  /// Sets a `float` parameter.
  public Kernel set(int index, float value) {
    check(index, Parameter.F32);
    arguments.set(JAVA_FLOAT, offsets[index], value);
    return this;
  }

  /// Sets a `long long` parameter.
  public Kernel set(int index, long value) {
    check(index, Parameter.I64);
    arguments.set(JAVA_LONG, offsets[index], value);
    return this;
  }

  /// Sets the four `int` of a [Parameter#SPECIAL_TOKENS] parameter.
  public Kernel setInts(int index, int first, int second, int third, int fourth) {
    check(index, Parameter.SPECIAL_TOKENS);
    int offset = offsets[index];
    arguments.set(JAVA_INT, offset, first);
    arguments.set(JAVA_INT, offset + 4, second);
    arguments.set(JAVA_INT, offset + 8, third);
    arguments.set(JAVA_INT, offset + 12, fourth);
    return this;
  }

  /// Sets a [Parameter#TENSOR_MAP] to what `map` describes now; later changes of it do not show.
  /// Null sets zeros: the kernel must not use the map then.
  ///
  /// @throws IllegalArgumentException if the tensor does not fit its buffer
  /// @throws IllegalStateException if the map has no buffer or the buffer's memory is closed
  /// @throws CudaException if the driver refuses the map
  public Kernel setTensorMap(int index, TensorMap map) {
    checkType(index, Parameter.TENSOR_MAP);
    long offset = offsets[index];
    if (map == null) {
      arguments.asSlice(offset, Parameter.TENSOR_MAP.bytes).fill((byte) 0);
    } else {
      module.checkSameContext(map.buffer().memory());
      map.encode(arguments.address() + offset, tensorMapScratch, name);
    }
    unset &= ~(1L << index);
    return this;
  }

  /// Enqueues the kernel on `stream` with `gridX`·`gridY`·`gridZ` blocks of `blockX` threads and
  /// `sharedBytes` of dynamic shared memory each, and returns; parameters may be set anew at once.
  ///
  /// @throws IllegalStateException if a parameter has never been set
  /// @throws CudaException if the launch is refused; errors inside the kernel show at the next
  ///   synchronisation
  public void launch(Stream stream, int gridX, int gridY, int gridZ, int blockX, int sharedBytes) {
    module.checkUse();
    stream.checkUse();
    module.checkSameContext(stream);
    if (unset != 0) {
      throw new IllegalStateException(
          name + ": parameter " + Long.numberOfTrailingZeros(unset) + " has never been set");
    }
    if (sharedBytes > allowedSharedBytes) {
      allowShared(sharedBytes);
    }
    LaunchObserver observer = stream.observer();
    if (observer != null) {
      observer.before(stream);
    }
    LaunchList captured = stream.captured();
    Pending observed = captured == null ? Flight.beginKernel() : null;
    int status =
        ModuleApi.cuLaunchKernel(
            handle, gridX, gridY, gridZ, blockX, 1, 1, sharedBytes, stream.handle(), 0, extra);
    if (status != DriverConstants.CUDA_SUCCESS) {
      throw Status.failure(
          status,
          "cuLaunchKernel",
          String.format(
              "%s, grid %d x %d x %d, block %d, shared %d bytes",
              name, gridX, gridY, gridZ, blockX, sharedBytes));
    }
    if (observer != null) {
      observer.after(stream, name, sizes());
    }
    if (captured != null) {
      captured.add(name, gridX, gridY, gridZ, blockX, sharedBytes);
    } else if (observed != null) {
      Flight.endKernel(observed, name, gridX, gridY, gridZ, blockX, sharedBytes);
    }
  }

  /// The `int` parameters.
  private int[] sizes() {
    return IntStream.range(0, layout.length)
        .filter(i -> layout[i] == Parameter.I32)
        .map(i -> arguments.get(JAVA_INT, offsets[i]))
        .toArray();
  }

  /// The kernel's symbol.
  public String name() {
    return name;
  }

  /// Symbol and module.
  @Override
  public String toString() {
    return "Kernel[" + name + " of " + module + "]";
  }

  private void check(int index, Parameter type) {
    checkType(index, type);
    unset &= ~(1L << index);
  }

  private void checkType(int index, Parameter type) {
    module.checkUse();
    if (layout[index] != type) {
      throw new IllegalArgumentException(
          name + ": parameter " + index + " is " + layout[index] + ", not " + type);
    }
  }

  private void allowShared(int sharedBytes) {
    Status.check(
        ModuleApi.cuFuncSetAttribute(
            handle, DriverConstants.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, sharedBytes),
        "cuFuncSetAttribute",
        name + ": dynamic shared memory",
        sharedBytes + " bytes");
    allowedSharedBytes = sharedBytes;
  }

  private long writeExtra(Arena arena, int bytes) {
    MemorySegment size = arena.allocate(JAVA_LONG);
    size.set(JAVA_LONG, 0, bytes);
    MemorySegment entries = arena.allocate(JAVA_LONG, EXTRA_ENTRIES);
    entries.setAtIndex(JAVA_LONG, 0, DriverConstants.CU_LAUNCH_PARAM_BUFFER_POINTER_AS_INT);
    entries.setAtIndex(JAVA_LONG, 1, arguments.address());
    entries.setAtIndex(JAVA_LONG, 2, DriverConstants.CU_LAUNCH_PARAM_BUFFER_SIZE_AS_INT);
    entries.setAtIndex(JAVA_LONG, 3, size.address());
    entries.setAtIndex(JAVA_LONG, 4, DriverConstants.CU_LAUNCH_PARAM_END_AS_INT);
    return entries.address();
  }

  /// A wrong size or order would hand the kernel garbage, so it is found here, once.
  private void verifyLayout() {
    Context context = module.context();
    MemorySegment scratch = context.scratch();
    long offsetOut = scratch.address();
    long sizeOut = offsetOut + 8;
    for (int i = 0; i < layout.length; i++) {
      int status = ModuleApi.cuFuncGetParamInfo(handle, i, offsetOut, sizeOut);
      if (status == DriverConstants.CUDA_ERROR_INVALID_VALUE) {
        throw mismatch("it has only " + i);
      }
      Status.check(status, "cuFuncGetParamInfo", name, "index=" + i);
      long offset = scratch.get(JAVA_LONG, 0);
      long size = scratch.get(JAVA_LONG, 8);
      if (offset != offsets[i] || size != layout[i].bytes) {
        throw mismatch(
            "parameter "
                + i
                + " is at "
                + offset
                + " with "
                + size
                + " bytes, not at "
                + offsets[i]
                + " with "
                + layout[i].bytes);
      }
    }
    int status = ModuleApi.cuFuncGetParamInfo(handle, layout.length, offsetOut, sizeOut);
    if (status == DriverConstants.CUDA_SUCCESS) {
      throw mismatch("it has more than " + layout.length);
    }
    if (status != DriverConstants.CUDA_ERROR_INVALID_VALUE) {
      Status.check(status, "cuFuncGetParamInfo", name, "index=" + layout.length);
    }
    // The probe past the end was refused on purpose.
    DriverLog.drain();
  }

  private IllegalArgumentException mismatch(String what) {
    return new IllegalArgumentException(
        "kernel "
            + name
            + " does not have the parameters "
            + Arrays.toString(layout)
            + ": "
            + what);
  }

  private static int alignUp(int offset, int alignment) {
    return (offset + alignment - 1) / alignment * alignment;
  }
}
