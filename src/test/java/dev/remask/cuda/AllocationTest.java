package dev.remask.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.sun.management.ThreadMXBean;
import dev.remask.testing.TestDevices;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;

/// The step loop's calls allocate nothing on the Java heap.
class AllocationTest {
  private static final int ROUNDS = 10_000;

  /// The first rounds allocate: method handles are specialised after some hundred calls.
  private static final int ATTEMPTS = 10;

  /// Keeps the queue short, so that the device's side of the test stays small.
  private static final int ROUNDS_BETWEEN_WAITS = 100;

  @Test
  void launchesCopiesAndEvents_allocateNothing() {
    var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    Context context = TestDevices.context(TestDevices.software());
    context.run(() -> {
      try (Stream stream = context.newStream();
          Event event = context.newEvent();
          Module module = context.loadModule("gather");
          BlasLt blas = BlasLt.open(context).orElseThrow();
          Matmul matmul = blas.matmul(MatmulType.F32_F32, 1, 2, 2, false);
          DeviceMemory memory = context.allocate(1024);
          PinnedMemory pinned = context.allocatePinned(64)) {
        Kernel gather = KernelTest.gather(module);
        DeviceBuffer out = memory.slice(0, 256);
        DeviceBuffer in = memory.slice(256, 256);
        DeviceBuffer index = memory.slice(512, 256);
        stream.fill(memory.buffer(), (byte) 0);
        Graph graph = stream.capture(() -> stream.fill(out, (byte) 1));
        Runnable round =
            () -> {
              gather.set(0, out).set(1, in).set(2, index).set(3, 1).set(4, 8);
              gather.launch(stream, 1, 1, 1, 32, 0);
              matmul.launch(stream, out, in, index);
              stream.copyToDevice(in, pinned, 0, 64);
              stream.copyToHost(pinned, 0, out, 64);
              stream.copy(out, in, 64);
              stream.fill(out, (byte) 2);
              stream.record(event);
              stream.waitFor(event);
              graph.launch(stream);
              event.isDone();
            };
        long least = Long.MAX_VALUE;
        for (int attempt = 0; attempt < ATTEMPTS && least > 0; attempt++) {
          long before = threads.getCurrentThreadAllocatedBytes();
          repeat(round, stream, ROUNDS);
          least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
        }
        assertEquals(0, least, "bytes in " + ROUNDS + " rounds, the least of the attempts");
        graph.close();
      }
    });
  }

  private static void repeat(Runnable round, Stream stream, int rounds) {
    for (int i = 0; i < rounds; i++) {
      round.run();
      if (i % ROUNDS_BETWEEN_WAITS == 0) {
        stream.synchronize();
      }
    }
    stream.synchronize();
  }
}
