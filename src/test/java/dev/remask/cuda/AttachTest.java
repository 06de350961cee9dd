package dev.remask.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.TestDevices;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;

/// Contexts, streams, threads and memory that belong to somebody else.
class AttachTest {
  private static final int[] VALUES = {3, 1, 4, 1, 5};
  private static final long BYTES = VALUES.length * (long) Integer.BYTES;

  /// Copies the foreign memory into memory of the context's own and that back into the second half.
  private static void doubleIt(Context context, long foreign) {
    context.run(() -> {
      try (Stream stream = context.workStream();
          DeviceMemory adopted = context.adopt(foreign, 2 * BYTES);
          DeviceMemory own = context.allocate(BYTES)) {
        stream.copy(own.buffer(), adopted.slice(0, BYTES), BYTES);
        stream.copy(adopted.slice(BYTES, BYTES), own.buffer(), BYTES);
        assertNotEquals(0, own.buffer().address());
        assertEquals(foreign + BYTES, adopted.slice(BYTES, BYTES).address());
        stream.synchronize();
      }
    });
  }

  @OnSoftwareDevices
  void work_isDoneInTheCallersContext_andNothingOfItGoesWithIt(DeviceSpec spec) {
    Device device = TestDevices.context(spec).device();
    try (var caller = new ForeignClient(device)) {
      long stream = caller.newStream();
      long memory = caller.allocate(2 * BYTES);
      caller.upload(memory, VALUES);
      for (long work : new long[] {0, stream}) {
        try (var context =
            Context.attach(device, Attachment.to(caller.context()).withStream(work))) {
          doubleIt(context, memory);
          assertEquals(0, context.deviceBytesInUse());
          context.run(() -> {
            context.allocate(1000); // closed with the context
            context.adopt(memory, BYTES);
            context.workStream();
          });
          assertEquals(1000, context.deviceBytesInUse());
        }
        caller.checkIdle(stream);
        int[] twice = caller.ints(memory, 2 * VALUES.length);
        for (int i = 0; i < twice.length; i++) {
          assertEquals(VALUES[i % VALUES.length], twice[i]);
        }
      }
      assertEquals(caller.context(), ForeignClient.current());
      caller.free(memory);
      caller.destroyStream(stream);
    }
  }

  @GpuTest
  void work_isDoneInTheCallersContext_andNothingOfItGoesWithIt_gpu(DeviceSpec gpu) {
    work_isDoneInTheCallersContext_andNothingOfItGoesWithIt(gpu);
  }

  @Test
  void memoryIsFlat_overManyAttachments() {
    Device device = TestDevices.context(TestDevices.software()).device();
    try (var caller = new ForeignClient(device)) {
      long memory = caller.allocate(2 * BYTES);
      caller.upload(memory, VALUES);
      long allocations = SoftwareDevice.liveAllocations();
      List<String> threads = SoftwareDevice.threadNames();
      for (int i = 0; i < 50; i++) {
        try (var context = Context.attach(device, Attachment.to(caller.context()))) {
          doubleIt(context, memory);
        }
      }
      assertEquals(allocations, SoftwareDevice.liveAllocations());
      assertEquals(threads, SoftwareDevice.threadNames());
    }
  }

  @Test
  void executor_runsEverything_andFindsItsContextAsItWas() throws Exception {
    Device device = TestDevices.context(TestDevices.software()).device();
    try (ExecutorService executor = Executors.newSingleThreadExecutor();
        var caller = new ForeignClient(device)) {
      Thread thread = executor.submit(Thread::currentThread).get();
      long memory = caller.allocate(2 * BYTES);
      caller.upload(memory, VALUES);
      long before = executor.submit(ForeignClient::current).get();
      assertEquals(0, before, "nothing is current on it");
      var attachment = Attachment.to(caller.context()).withExecutor(executor);
      try (var context = Context.attach(device, attachment)) {
        doubleIt(context, memory);
        assertEquals(thread, context.call(Thread::currentThread));
        assertEquals(caller.context(), context.call(ForeignClient::current));
        assertEquals(before, executor.submit(ForeignClient::current).get());
        // On the thread itself, too, and only inside of call.
        Stream stream = context.call(context::workStream);
        executor
            .submit(() -> {
              assertThrows(WrongThreadException.class, stream::synchronize);
              context.run(stream::synchronize);
            })
            .get();
        assertThrows(WrongThreadException.class, stream::synchronize);
      }
      assertFalse(executor.isShutdown());
      assertEquals(before, executor.submit(ForeignClient::current).get());
      assertArrayEquals(VALUES, caller.ints(memory + BYTES, VALUES.length));
    }
  }

  @Test
  void callersThread_isTheDeviceThread_withAnExecutorThatRunsAtOnce() throws Exception {
    Device device = TestDevices.context(TestDevices.software()).device();
    try (var caller = new ForeignClient(device)) {
      var attachment = Attachment.to(caller.context()).withExecutor(Runnable::run);
      var order = new ArrayList<String>();
      try (var context = Context.attach(device, attachment)) {
        context.run(() -> {
          context.enqueue(() -> order.add("enqueued"), Assertions::fail);
          context.run(() -> order.add("executed"));
          order.add("work");
        });
        context.enqueue(() -> order.add("later"), Assertions::fail);
        assertEquals(List.of("executed", "work", "enqueued", "later"), order);
        assertEquals(Thread.currentThread(), context.call(Thread::currentThread));
        var elsewhere =
            assertThrows(
                Exception.class,
                () ->
                    Executors.newSingleThreadExecutor().submit(() -> context.run(() -> {})).get());
        assertTrue(elsewhere.getCause() instanceof WrongThreadException, elsewhere.toString());
        var thrown = new IllegalArgumentException("mine");
        assertEquals(
            thrown,
            assertThrows(
                IllegalArgumentException.class,
                () ->
                    context.run(() -> {
                      throw thrown;
                    })));
      }
    }
  }

  @Test
  void closedContext_takesNoWork() {
    Device device = TestDevices.context(TestDevices.software()).device();
    try (var caller = new ForeignClient(device)) {
      var attachment = Attachment.to(caller.context());
      for (var kind : List.of(attachment, attachment.withExecutor(Runnable::run))) {
        Context context = Context.attach(device, kind);
        context.close();
        context.close();
        assertThrows(IllegalStateException.class, () -> context.run(() -> {}));
        assertThrows(
            IllegalStateException.class, () -> context.enqueue(() -> {}, Assertions::fail));
      }
    }
  }

  @Test
  void whatDoesNotFitTogether_isRefused() {
    Device device = TestDevices.context(TestDevices.software()).device();
    Device other = TestDevices.context(TestDevices.emulator()).device();
    assertThrows(IllegalArgumentException.class, () -> Attachment.to(0));
    try (var caller = new ForeignClient(device);
        var stranger = new ForeignClient(device)) {
      var attachment = Attachment.to(caller.context());
      assertThrows(IllegalArgumentException.class, () -> attachment.withStream(1));
      assertThrows(IllegalArgumentException.class, () -> attachment.withStream(2));
      long stream = stranger.newStream();
      refused(device, attachment.withStream(stream), "another context");
      refused(other, attachment, "CUdevice 0");
      var virtual =
          assertThrows(
              IllegalArgumentException.class,
              () ->
                  Context.attach(
                      device, attachment.withExecutor(work -> Thread.startVirtualThread(work))));
      assertTrue(virtual.getMessage().contains("virtual thread"), virtual.getMessage());
      long unknown = 0x5245_0000_0000_0001L;
      assertThrows(CudaException.class, () -> Context.attach(device, Attachment.to(unknown)));
      assertThrows(
          CudaException.class,
          () -> Context.attach(device, Attachment.to(unknown).withExecutor(Runnable::run)));
      assertThrows(
          CudaException.class, () -> Context.attach(device, attachment.withStream(unknown)));
      try (var context = Context.attach(device, attachment)) {
        context.run(() -> {
          assertThrows(IllegalArgumentException.class, () -> context.adopt(0, 8));
          assertThrows(IllegalArgumentException.class, () -> context.adopt(4096, 0));
        });
      }
    }
  }

  @Test
  void attachingOnTheExecutorsOwnThread_isRefused() throws Exception {
    try (ExecutorService executor = Executors.newSingleThreadExecutor()) {
      String message =
          executor
              .submit(() ->
                  assertThrows(IllegalStateException.class, () -> new CallerThread(executor, 1, 1))
                      .getMessage())
              .get();
      assertTrue(message.contains("on its own thread"), message);
    }
  }

  @Test
  void workThatCannotBeRun_isReported() throws Exception {
    Device device = TestDevices.context(TestDevices.software()).device();
    var caller = new ForeignClient(device);
    var attachment = Attachment.to(caller.context()).withExecutor(Runnable::run);
    Context context = Context.attach(device, attachment);
    var reasons = new ArrayList<Throwable>();
    Thread.ofPlatform().start(() -> context.enqueue(Assertions::fail, reasons::add)).join();
    caller.close();
    context.enqueue(Assertions::fail, reasons::add);
    assertEquals(
        List.of(WrongThreadException.class, CudaException.class),
        reasons.stream().map(Object::getClass).toList());
    assertThrows(CudaException.class, context::close);
  }

  private static void refused(Device device, Attachment attachment, String words) {
    var e = assertThrows(IllegalArgumentException.class, () -> Context.attach(device, attachment));
    assertTrue(e.getMessage().contains(words), e.getMessage());
  }
}
