package dev.remask.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.TestDevices;
import java.util.ArrayList;
import java.util.List;

/// Who may use what, when and on which thread.
class LifetimeTest {
  @OnSoftwareDevices
  void use_afterCloseThrowsAndNamesTheResource(DeviceSpec spec) {
    try (Context context = TestDevices.newContext(spec)) {
      context.run(() -> {
        Stream stream = context.newStream();
        Event event = context.newEvent();
        DeviceMemory memory = context.allocate(64);
        DeviceBuffer slice = memory.slice(8, 8);
        PinnedMemory pinned = context.allocatePinned(64);
        Module module = context.loadModule("gather");
        Kernel kernel = KernelTest.gather(module);
        Graph graph = stream.capture(() -> stream.fill(slice, (byte) 1));
        var segment = pinned.segment();
        List<Resource> all = List.of(graph, module, pinned, memory, event);
        all.forEach(Resource::close);
        all.forEach(Resource::close);
        closed("DeviceMemory", slice::address);
        closed("DeviceMemory", () -> stream.fill(slice, (byte) 1));
        closed("PinnedMemory", pinned::segment);
        assertThrows(IllegalStateException.class, () -> segment.fill((byte) 0));
        closed("Event", event::isDone);
        closed("Event", () -> stream.record(event));
        closed("Graph", () -> graph.launch(stream));
        closed("Module", () -> KernelTest.gather(module));
        closed("Module", () -> kernel.set(3, 1));
        closed("Module", () -> kernel.launch(stream, 1, 1, 1, 32, 0));
        stream.close();
        closed("Stream", stream::synchronize);
      });
    }
  }

  @OnSoftwareDevices
  void use_onAnotherThreadThrowsAndNamesBoth(DeviceSpec spec) {
    try (Context context = TestDevices.newContext(spec)) {
      Stream stream = context.call(context::newStream);
      DeviceMemory memory = context.call(() -> context.allocate(64));
      var error =
          assertThrows(WrongThreadException.class, () -> stream.fill(memory.buffer(), (byte) 1));
      assertTrue(error.getMessage().contains("Stream["), error.getMessage());
      assertTrue(error.getMessage().contains("remask-device-"), error.getMessage());
      assertTrue(error.getMessage().contains(Thread.currentThread().getName()), error.getMessage());
      assertThrows(WrongThreadException.class, () -> context.allocate(1));
      assertThrows(WrongThreadException.class, context::newEvent);
      assertThrows(WrongThreadException.class, () -> context.loadModule("gather"));
      memory.close();
      assertEquals(0, context.deviceBytesInUse(), "close works from any thread");
    }
  }

  @OnSoftwareDevices
  void contextClose_closesWhatIsOpenAndEndsTheThread(DeviceSpec spec) {
    long bytes = SoftwareDevice.liveBytes();
    long allocations = SoftwareDevice.liveAllocations();
    List<String> threads = SoftwareDevice.threadNames();
    Context context = TestDevices.newContext(spec);
    Thread thread = context.call(Thread::currentThread);
    var made = new ArrayList<Resource>();
    context.run(() -> {
      Stream stream = context.newStream();
      DeviceMemory memory = context.allocate(1 << 16);
      stream.fill(memory.buffer(), (byte) 1);
      made.addAll(
          List.of(
              stream,
              memory,
              context.newEvent(),
              context.allocatePinned(100),
              context.loadModule("gather"),
              stream.capture(() -> stream.fill(memory.buffer(), (byte) 2))));
    });
    assertTrue(SoftwareDevice.liveBytes() > bytes);
    assertTrue(SoftwareDevice.threadNames().size() > threads.size(), "a stream has a worker");
    context.close();
    context.close();
    assertFalse(thread.isAlive());
    assertEquals(threads, SoftwareDevice.threadNames());
    for (Resource resource : made) {
      assertFalse(resource.isOpen(), resource.toString());
      resource.close();
    }
    assertEquals(0, context.deviceBytesInUse());
    assertEquals(bytes, SoftwareDevice.liveBytes());
    assertEquals(allocations, SoftwareDevice.liveAllocations());
    assertThrows(IllegalStateException.class, () -> context.run(() -> {}));
  }

  @OnSoftwareDevices
  void contexts_ofOneDeviceAreIndependent(DeviceSpec spec) {
    try (Context first = TestDevices.newContext(spec)) {
      DeviceMemory ofFirst = first.call(() -> first.allocate(64));
      try (Context second = TestDevices.newContext(spec)) {
        second.run(() -> {
          try (Stream stream = second.newStream()) {
            var error =
                assertThrows(
                    IllegalArgumentException.class, () -> stream.fill(ofFirst.buffer(), (byte) 1));
            assertTrue(error.getMessage().contains("Context["), error.getMessage());
          }
        });
      }
      first.run(() -> {
        try (Stream stream = first.newStream()) {
          stream.fill(ofFirst.buffer(), (byte) 1);
          stream.synchronize();
        }
      });
    }
  }

  @OnSoftwareDevices
  void close_onTheDeviceThreadItselfWorks(DeviceSpec spec) throws InterruptedException {
    Context context = TestDevices.newContext(spec);
    Thread thread = context.call(Thread::currentThread);
    context.run(context::close);
    thread.join();
    assertThrows(IllegalStateException.class, () -> context.run(() -> {}));
  }

  @OnSoftwareDevices
  void close_thatTheDriverRefusesCanBeRepeated(DeviceSpec spec) {
    try (Context context = TestDevices.newContext(spec)) {
      context.run(() -> {
        DeviceMemory memory = context.allocate(1 << 12);
        SoftwareDevice.setFault("cuMemFree:1:ILLEGAL_ADDRESS");
        var error = assertThrows(CudaException.class, memory::close);
        assertEquals("cuMemFree_v2", error.function());
        assertTrue(memory.isOpen());
        memory.close();
        assertFalse(memory.isOpen());
      });
    } finally {
      SoftwareDevice.setFault(null);
    }
  }

  private static void closed(String name, Runnable use) {
    var error = assertThrows(IllegalStateException.class, use::run);
    assertTrue(error.getMessage().startsWith(name), error.getMessage());
    assertTrue(error.getMessage().contains("closed"), error.getMessage());
  }
}
