package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/// Hooks of the software device: injected faults, strictness and counters for tests, and the
/// library by which other clients of the driver API run on it.
///
/// They act on the whole process. Any thread. Each loads the software device's library, without
/// fixing the process to it, and throws [CudaException] where that is missing.
public final class SoftwareDevice {
  private static final String FAULT_VARIABLE = "REMASK_FAULT";

  private static boolean environmentRead;

  private SoftwareDevice() {}

  /// Checks the software device's variables and arms the faults of `REMASK_FAULT`, once in a
  /// process and before the first call of the driver. The library reads them itself but has no way
  /// to refuse one, and a setting that is silently ignored makes people believe that it was heeded.
  static synchronized void readEnvironment() {
    if (environmentRead) {
      return;
    }
    check(
        "REMASK_THREADS",
        "[1-9][0-9]{0,2}|10[01][0-9]|102[0-4]",
        "a number of compute threads from 1 to 1024");
    check("REMASK_DEVICE_MEMORY", "[1-9][0-9]*[kKmMgG]?", "bytes, or a number with K, M or G: 8G");
    hostKernels();
    String specification = System.getenv(FAULT_VARIABLE);
    if (specification != null && !specification.isEmpty()) {
      try {
        setFault(specification);
      } catch (IllegalArgumentException e) {
        throw refused(
            FAULT_VARIABLE,
            specification,
            "<call>:<nth from 1>:<error name>, comma-separated, for example"
                + " cuMemAlloc:3:OUT_OF_MEMORY");
      }
    }
    environmentRead = true;
  }

  private static void check(String variable, String pattern, String wanted) {
    String value = System.getenv(variable);
    if (value != null && !value.matches(pattern)) {
      throw refused(variable, value, wanted);
    }
  }

  private static CudaException refused(String variable, String value, String wanted) {
    return CudaException.of("", "", variable + "=" + value + " cannot be read; wanted " + wanted);
  }

  /// Makes calls fail: `<call>:<nth>:<ERROR>`, comma-separated, the call with or without `_v2`,
  /// counted from 1 from now on, the error without its prefix, for example
  /// `cuMemAlloc:3:OUT_OF_MEMORY`. Null takes all faults back.
  ///
  /// @throws IllegalArgumentException if the text cannot be read
  public static void setFault(String specification) {
    int status;
    if (specification == null) {
      status = SoftwareApi.remaskSetFault(0);
    } else {
      try (Arena arena = Arena.ofConfined()) {
        status = SoftwareApi.remaskSetFault(arena.allocateFrom(specification).address());
      }
    }
    if (status != DriverConstants.CUDA_SUCCESS) {
      throw new IllegalArgumentException("fault \"" + specification + "\" cannot be read");
    }
  }

  /// Switches the checks on or off that go beyond a driver's (`REMASK_STRICT`).
  public static void setStrict(boolean strict) {
    Status.check(SoftwareApi.remaskSetStrict(strict ? 1 : 0), "remaskSetStrict");
  }

  /// Sets the seed of the emulator's thread scheduling (`REMASK_EMULATOR_SEED`).
  public static void setEmulatorSeed(long seed) {
    Status.check(SoftwareApi.remaskSetEmulatorSeed(seed), "remaskSetEmulatorSeed");
  }

  /// How often a `cu*` or `cublasLt*` function has been called in this process.
  public static long callCount(String function) {
    try (Arena arena = Arena.ofConfined()) {
      return SoftwareApi.remaskCallCount(arena.allocateFrom(function).address());
    }
  }

  /// Allocations of device and pinned memory that are not freed, of the whole process.
  public static long liveAllocations() {
    return SoftwareApi.remaskLiveAllocations();
  }

  /// Bytes of device and pinned memory that are not freed, of the whole process.
  public static long liveBytes() {
    return SoftwareApi.remaskLiveBytes();
  }

  /// The thin `libcuda.so.1` that stands for a driver and leads to the software device. A process
  /// that loads it (`System.load`) before another client of the driver API is first used, JCuda for
  /// example, runs that client on the software device, in the very context that Remask uses. Beside
  /// a real driver do not load it: every client of the process would get it.
  public static Path driverLibrary() {
    return NativeLibraries.software().path().resolveSibling("libcuda").resolve("libcuda.so.1");
  }

  /// The instruction set whose host kernels the software device runs: `baseline`, `avx2`, `avx512`
  /// or `avx512_bf16`. `REMASK_HOST_KERNELS` chooses among those that this processor has.
  ///
  /// @throws CudaException if the variable names none of them
  public static String hostKernels() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocate(JAVA_LONG);
      int status = SoftwareApi.remaskHostKernels(name.address());
      String text = Linking.text(name.get(JAVA_LONG, 0));
      if (status != DriverConstants.CUDA_SUCCESS) {
        throw CudaException.of("", "", text);
      }
      return text;
    }
  }

  /// Names of the software device's threads, in no order; empty when there are none.
  public static List<String> threadNames() {
    String names = Linking.text(SoftwareApi.remaskThreadNames());
    return Arrays.stream(names.split("[,\\n]")).filter(name -> !name.isBlank()).toList();
  }
}
