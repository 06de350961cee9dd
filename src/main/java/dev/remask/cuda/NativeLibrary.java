package dev.remask.cuda;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.file.Path;
import java.util.Optional;

/// A loaded native library: where it came from and how its functions are found. Libraries are never
/// unloaded; any thread.
record NativeLibrary(Path path, SymbolLookup symbols) {
  private static final MethodHandle MISSING = missingHandle();

  /// A handle on the first of `names` that the library exports. Where it exports none, a handle
  /// that throws a [CudaException] naming function and library when it is called: a driver too old
  /// for one function still serves those who do not call it.
  MethodHandle required(FunctionDescriptor descriptor, String... names) {
    MethodHandle handle = optional(descriptor, names);
    if (handle != null) {
      return handle;
    }
    MethodType type = descriptor.toMethodType();
    MethodHandle missing =
        type.returnType() == long.class
            ? MethodHandles.explicitCastArguments(
                MISSING, MethodType.methodType(long.class, String.class, NativeLibrary.class))
            : MISSING;
    return MethodHandles.dropArguments(
        MethodHandles.insertArguments(missing, 0, names[0], this), 0, type.parameterList());
  }

  /// A handle on the first of `names` that the library exports, null where it exports none.
  MethodHandle optional(FunctionDescriptor descriptor, String... names) {
    Linking.noteBound(names[0], descriptor);
    for (String name : names) {
      Optional<MemorySegment> symbol = symbols.find(name);
      if (symbol.isPresent()) {
        return Linker.nativeLinker().downcallHandle(symbol.get(), descriptor);
      }
    }
    return null;
  }

  private static int missing(String function, NativeLibrary library) {
    throw CudaException.of(
        function,
        "",
        library.path
            + " does not export this function; Remask needs a driver of CUDA 12.4 or newer"
            + " (NVIDIA driver 550)");
  }

  private static MethodHandle missingHandle() {
    try {
      return MethodHandles.lookup()
          .findStatic(
              NativeLibrary.class,
              "missing",
              MethodType.methodType(int.class, String.class, NativeLibrary.class));
    } catch (ReflectiveOperationException e) {
      throw new AssertionError(e);
    }
  }
}
