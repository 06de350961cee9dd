package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.invoke.MethodHandle;

/// NVTX functions, under their C names, of the library that [Nvtx] has found.
final class NvtxApi {
  private static final NativeLibrary LIBRARY = Nvtx.library();
  private static final MethodHandle NVTX_DOMAIN_CREATE_A =
      LIBRARY.required(FunctionDescriptor.of(JAVA_LONG, JAVA_LONG), "nvtxDomainCreateA");
  private static final MethodHandle NVTX_DOMAIN_RANGE_PUSH_EX =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_LONG), "nvtxDomainRangePushEx");
  private static final MethodHandle NVTX_DOMAIN_RANGE_POP =
      LIBRARY.required(Linking.status(JAVA_LONG), "nvtxDomainRangePop");
  private static final MethodHandle NVTX_DOMAIN_RANGE_START_EX =
      LIBRARY.required(
          FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG), "nvtxDomainRangeStartEx");
  private static final MethodHandle NVTX_DOMAIN_RANGE_END =
      LIBRARY.required(FunctionDescriptor.ofVoid(JAVA_LONG, JAVA_LONG), "nvtxDomainRangeEnd");

  private NvtxApi() {}

  static long nvtxDomainCreateA(long name) {
    try {
      return (long) NVTX_DOMAIN_CREATE_A.invokeExact(name);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int nvtxDomainRangePushEx(long domain, long attributes) {
    try {
      return (int) NVTX_DOMAIN_RANGE_PUSH_EX.invokeExact(domain, attributes);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int nvtxDomainRangePop(long domain) {
    try {
      return (int) NVTX_DOMAIN_RANGE_POP.invokeExact(domain);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static long nvtxDomainRangeStartEx(long domain, long attributes) {
    try {
      return (long) NVTX_DOMAIN_RANGE_START_EX.invokeExact(domain, attributes);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static void nvtxDomainRangeEnd(long domain, long range) {
    try {
      NVTX_DOMAIN_RANGE_END.invokeExact(domain, range);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }
}
