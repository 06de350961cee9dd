package dev.remask.measure;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;

/// The Java bytes that the calling thread has allocated.
public final class JavaBytes {
  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  private JavaBytes() {}

  /// So many so far. Allocates nothing.
  public static long now() {
    return THREADS.getCurrentThreadAllocatedBytes();
  }
}
