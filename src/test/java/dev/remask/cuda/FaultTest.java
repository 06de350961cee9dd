package dev.remask.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.DeviceData;
import dev.remask.testing.TestDevices;
import java.util.ArrayList;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/// Every call of a scenario that uses all of this package fails once at each of its occurrences:
/// the exception names the call, and afterwards no device or pinned memory and no thread is left.
class FaultTest {
  /// Failures that do not matter: the log only explains other failures, error names only label
  /// them, a version has no status, and a context that cannot be popped is gone.
  private static final Set<String> WITHOUT_CONSEQUENCE =
      Set.of(
          "cuLogsCurrent",
          "cuLogsDumpToMemory",
          "cuGetErrorName",
          "cublasLtGetVersion",
          "cuCtxPopCurrent_v2");

  @AfterEach
  void clearFaults() {
    SoftwareDevice.setFault(null);
  }

  @TestFactory
  Iterable<DynamicTest> everyCall_failsCleanlyAtEveryOccurrence() {
    scenario();
    var before = callCounts();
    scenario();
    var tests = new ArrayList<DynamicTest>();
    callCounts()
        .forEach((call, count) -> {
          long times = count - before.get(call);
          if (times > 0 && !WITHOUT_CONSEQUENCE.contains(call)) {
            tests.add(DynamicTest.dynamicTest(call + " x " + times, () -> fail(call, times)));
          }
        });
    assertTrue(tests.size() >= 40, "the scenario calls only " + tests.size() + " functions");
    return tests;
  }

  private static void fail(String call, long times) {
    long bytes = SoftwareDevice.liveBytes();
    String error = call.startsWith("cublas") ? "INTERNAL_ERROR" : "UNKNOWN";
    for (long nth = 1; nth <= times; nth++) {
      String fault = call + ":" + nth + ":" + error;
      SoftwareDevice.setFault(fault);
      var thrown = assertThrows(CudaException.class, FaultTest::scenario, fault);
      SoftwareDevice.setFault(null);
      assertEquals(call, thrown.function(), () -> fault + ": " + thrown);
      assertTrue(thrown.errorName().endsWith(error), () -> fault + ": " + thrown.errorName());
      assertEquals(bytes, SoftwareDevice.liveBytes(), fault);
      assertFalse(
          Thread.getAllStackTraces().keySet().stream()
              .anyMatch(thread -> thread.getName().equals(contextThread)),
          fault + ": " + contextThread + " still runs");
    }
  }

  @Test
  void injectedFault_tellsArgumentsHintAndTheDevicesOwnWords() {
    try (Context context = TestDevices.newContext(TestDevices.software())) {
      SoftwareDevice.setFault("cuMemAlloc:2:OUT_OF_MEMORY");
      context.run(() -> assertNotNull(context.allocate(16)));
      var thrown =
          assertThrows(CudaException.class, () -> context.run(() -> context.allocate(12345)));
      assertEquals("cuMemAlloc_v2", thrown.function());
      assertEquals("bytes=12345", thrown.arguments());
      assertEquals(2, thrown.code());
      assertTrue(thrown.getMessage().contains("CUDA_ERROR_OUT_OF_MEMORY (2)"), thrown::getMessage);
      assertTrue(thrown.getMessage().contains("no memory left"), thrown::getMessage);
      assertTrue(thrown.getMessage().contains("device log: "), thrown::getMessage);
    }
  }

  @Test
  void setFault_refusesWhatItCannotRead() {
    assertThrows(IllegalArgumentException.class, () -> SoftwareDevice.setFault("cuMemAlloc"));
    assertThrows(
        IllegalArgumentException.class, () -> SoftwareDevice.setFault("cuMemAlloc:1:NO_SUCH"));
    assertThrows(
        IllegalArgumentException.class, () -> SoftwareDevice.setFault("cuMemAlocc:1:UNKNOWN"));
  }

  /// The thread of the last scenario's context.
  private static String contextThread = "";

  private static void scenario() {
    try (Context context = Context.open(Device.open(TestDevices.software()))) {
      context.run(() -> {
        contextThread = Thread.currentThread().getName();
        work(context);
        // Left for the context to close.
        context.allocate(64);
        context.allocatePinned(64);
        context.newEvent();
      });
      attached(context);
    }
  }

  /// The driver's own device for it: the primary context, which another client holds.
  private static void attached(Context holder) {
    long primary = holder.call(holder::handle);
    var attachment = Attachment.to(primary);
    try (Context context = Context.attach(holder.device(), attachment)) {
      context.run(() -> context.allocate(64));
      long stream = context.call(() -> context.newStream().handle());
      var all = attachment.withStream(stream).withExecutor(Runnable::run);
      try (Context inside = Context.attach(holder.device(), all)) {
        inside.run(() -> inside.workStream().synchronize());
      }
    }
  }

  private static void work(Context context) {
    try (Stream stream = context.newStream();
        Stream other = context.newStream();
        Event start = context.newEvent();
        Event end = context.newEvent();
        DeviceMemory index = DeviceData.i32(context, stream, 1, 0);
        DeviceMemory in = DeviceData.f32(context, stream, 1, 2, 3, 4);
        DeviceMemory out = context.allocate(16);
        Module module = context.loadModule("gather")) {
      stream.record(start);
      Kernel gather = KernelTest.gather(module);
      gather.set(0, out.buffer()).set(1, in.buffer()).set(2, index.buffer()).set(3, 2).set(4, 2);
      gather.launch(stream, 2, 1, 1, 32, 0);
      stream.record(end);
      other.waitFor(end);
      other.copy(in.buffer(), out.buffer(), 16);
      other.synchronize();
      assertTrue(end.isDone());
      assertTrue(end.millisecondsSince(start) >= 0);
      try (Graph graph = stream.capture(() -> gather.launch(stream, 2, 1, 1, 32, 0))) {
        graph.launch(stream);
        graph.update(stream, () -> gather.launch(stream, 1, 1, 1, 32, 0));
        graph.update(stream, () -> stream.fill(out.buffer(), (byte) 0));
        graph.launch(stream);
        stream.record(end);
        end.synchronize();
      }
      try (Graph graph =
              stream.build(builder -> {
                GraphBuilder.Condition condition = builder.condition(1);
                builder.capture(() -> gather.launch(stream, 2, 1, 1, 32, 0));
                builder.runIf(
                    condition, body -> body.capture(() -> stream.fill(out.buffer(), (byte) 0)));
              });
          PinnedMemory mapped = context.allocateMapped(16)) {
        graph.launch(stream);
        stream.copy(mapped.deviceBuffer(), out.buffer(), 16);
        stream.synchronize();
        assertEquals(0, mapped.loadInt(12));
      }
      try (BlasLt blas = BlasLt.open(context).orElseThrow();
          Matmul matmul = blas.matmul(MatmulType.F32_F32, 2, 2, 2, false)) {
        matmul.launch(stream, out.buffer(), in.buffer(), in.buffer());
        stream.synchronize();
      }
      DeviceData.readF32(context, stream, out.buffer());
    }
  }

  private static Map<String, Long> callCounts() {
    var counts = new TreeMap<String, Long>();
    for (String call : Linking.bound().keySet()) {
      if (!call.startsWith("remask")) {
        counts.put(call, SoftwareDevice.callCount(call));
      }
    }
    return counts;
  }
}
