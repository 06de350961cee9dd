package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.TreeMap;

/// The rules of every binding, in one place.
///
/// One Java method per C function, under the C function's own name, on a `private static final`
/// method handle called by `invokeExact`. Pointers, handles and sizes are `JAVA_LONG`, because each
/// further descriptor shape costs some 10 ms at start-up, and a segment per call costs an
/// allocation. Functions used together share a class, so that a class's initialiser links only what
/// its first use needs.
final class Linking {
  /// What has been bound so far, by C name: AbiTest compares it with the ABI table.
  private static final Map<String, FunctionDescriptor> BOUND = new TreeMap<>();

  private Linking() {}

  /// A function that returns a status (CUresult or cublasStatus_t), as nearly all do.
  static FunctionDescriptor status(MemoryLayout... parameters) {
    return FunctionDescriptor.of(JAVA_INT, parameters);
  }

  static synchronized void noteBound(String function, FunctionDescriptor descriptor) {
    BOUND.put(function, descriptor);
  }

  static synchronized Map<String, FunctionDescriptor> bound() {
    return Map.copyOf(BOUND);
  }

  /// What a binding method throws when `invokeExact` did: a missing symbol's CudaException as it
  /// is; anything else is a mistake in the binding.
  static RuntimeException unexpected(Throwable thrown) {
    if (thrown instanceof RuntimeException exception) {
      return exception;
    }
    if (thrown instanceof Error error) {
      throw error;
    }
    throw new AssertionError("a native function cannot throw " + thrown.getClass(), thrown);
  }

  /// The NUL-terminated text at `address` that a library owns; empty for a null pointer.
  static String text(long address) {
    return address == 0
        ? ""
        : MemorySegment.ofAddress(address).reinterpret(MAX_TEXT_BYTES).getString(0);
  }

  /// Bounds every text that is read from a library: error strings and names are far shorter, the
  /// list of thread names is the longest.
  private static final long MAX_TEXT_BYTES = 1 << 16;
}
