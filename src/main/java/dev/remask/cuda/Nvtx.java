package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;

/// Ranges in the timeline of NVIDIA's tools (Nsight Systems), in the domain `remask`.
///
/// NVTX's functions do nothing unless a tool listens, so by default its library is looked for where
/// a tool has announced itself in the environment, and otherwise a range costs a read of a static
/// field. `REMASK_NVTX` says something else: `on` looks for the library anyway, `off` never, and
/// anything else is the library's file. Where none is found there are no ranges, but a file that
/// was named must be one: what begins a range throws CudaException otherwise. Any thread.
public final class Nvtx {
  private static final String AUTO = "auto";
  private static final String ON = "on";
  private static final String OFF = "off";
  private static final String DOMAIN = "remask";

  /// What tools set for the library's injection, or for the processes they start.
  private static final List<String> TOOLS =
      List.of("NVTX_INJECTION64_PATH", "CUDA_INJECTION64_PATH", "NSYS_PROFILING_SESSION_ID");

  /// CUDA 12.9 and newer, before that, and where a toolkit is installed beside the loader's path.
  private static final List<String> FILES =
      List.of(
          "libnvtx3interop.so.1",
          "libnvToolsExt.so.1",
          "/usr/local/cuda/lib64/libnvtx3interop.so.1",
          "/usr/local/cuda/lib64/libnvToolsExt.so.1");

  private static final long VERSION = Structs.offset(Structs.nvtxEventAttributes_v2, "version");
  private static final long SIZE = Structs.offset(Structs.nvtxEventAttributes_v2, "size");
  private static final long PAYLOAD_TYPE =
      Structs.offset(Structs.nvtxEventAttributes_v2, "payloadType");
  private static final long PAYLOAD = Structs.offset(Structs.nvtxEventAttributes_v2, "payload");
  private static final long MESSAGE_TYPE =
      Structs.offset(Structs.nvtxEventAttributes_v2, "messageType");
  private static final long MESSAGE = Structs.offset(Structs.nvtxEventAttributes_v2, "message");

  private Nvtx() {}

  /// Looked for once, at the first range.
  private static final class Found {
    static final NativeLibrary LIBRARY = find();

    /// The file that was named and is no such library; null where nothing is wrong.
    static final String REFUSED = LIBRARY == null ? namedFile() : null;

    static final boolean ON = LIBRARY != null;
    static final long DOMAIN_HANDLE = ON ? createDomain() : 0;
  }

  static NativeLibrary library() {
    return Found.LIBRARY;
  }

  /// Begins a range of this thread, inside those it has begun. `payload` is shown with it.
  public static void push(String message, long payload) {
    requireNamed();
    if (Found.ON) {
      try (Arena arena = Arena.ofConfined()) {
        NvtxApi.nvtxDomainRangePushEx(Found.DOMAIN_HANDLE, attributes(arena, message, payload));
      }
    }
  }

  /// Ends the range that this thread began last.
  public static void pop() {
    if (Found.ON) {
      NvtxApi.nvtxDomainRangePop(Found.DOMAIN_HANDLE);
    }
  }

  /// Begins a range that may overlap others, and returns what [#end] takes on any thread; 0 where
  /// there is no library.
  public static long start(String message) {
    requireNamed();
    if (!Found.ON) {
      return 0;
    }
    try (Arena arena = Arena.ofConfined()) {
      return NvtxApi.nvtxDomainRangeStartEx(Found.DOMAIN_HANDLE, attributes(arena, message, 0));
    }
  }

  /// Ends a range.
  public static void end(long range) {
    if (Found.ON) {
      NvtxApi.nvtxDomainRangeEnd(Found.DOMAIN_HANDLE, range);
    }
  }

  /// The library copies what it keeps.
  private static long attributes(Arena arena, String message, long payload) {
    MemorySegment attributes = arena.allocate(Structs.nvtxEventAttributes_v2);
    attributes.set(JAVA_SHORT, VERSION, (short) NvtxConstants.NVTX_VERSION);
    attributes.set(JAVA_SHORT, SIZE, (short) attributes.byteSize());
    attributes.set(JAVA_INT, PAYLOAD_TYPE, NvtxConstants.NVTX_PAYLOAD_TYPE_INT64);
    attributes.set(JAVA_LONG, PAYLOAD, payload);
    attributes.set(JAVA_INT, MESSAGE_TYPE, NvtxConstants.NVTX_MESSAGE_TYPE_ASCII);
    attributes.set(JAVA_LONG, MESSAGE, arena.allocateFrom(message).address());
    return attributes.address();
  }

  private static long createDomain() {
    try (Arena arena = Arena.ofConfined()) {
      return NvtxApi.nvtxDomainCreateA(arena.allocateFrom(DOMAIN).address());
    }
  }

  private static void requireNamed() {
    if (Found.REFUSED != null) {
      throw CudaException.of(
          "",
          "",
          "REMASK_NVTX="
              + Found.REFUSED
              + " is no NVTX library: it is not there, cannot be loaded or has no"
              + " nvtxDomainRangeEnd; wanted: auto, on, off or the library's file");
    }
  }

  private static String setting() {
    String set = SoftwareLibraryFiles.setting("remask.nvtx", "REMASK_NVTX");
    return set == null ? AUTO : set;
  }

  /// Null where the setting is a word.
  private static String namedFile() {
    String setting = setting();
    return List.of(AUTO, ON, OFF).contains(setting) ? null : setting;
  }

  /// Null where no ranges are wanted, or there is no library.
  private static NativeLibrary find() {
    String setting = setting();
    if (setting.equals(OFF) || setting.equals(AUTO) && !isToolThere()) {
      return null;
    }
    String file = namedFile();
    if (file != null) {
      return load(Path.of(file).toAbsolutePath().toString());
    }
    for (String known : FILES) {
      NativeLibrary library = load(known);
      if (library != null) {
        return library;
      }
    }
    return null;
  }

  private static NativeLibrary load(String file) {
    return NativeLibraries.tryLoad(file)
        .filter(library -> library.symbols().find("nvtxDomainRangeEnd").isPresent())
        .orElse(null);
  }

  private static boolean isToolThere() {
    for (String variable : TOOLS) {
      if (System.getenv(variable) != null) {
        return true;
      }
    }
    return false;
  }
}
