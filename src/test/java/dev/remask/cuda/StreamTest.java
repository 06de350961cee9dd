package dev.remask.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.DeviceData;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;

/// Streams, events and captured graphs.
class StreamTest {
  private static final int BYTES = 4096;

  @OnSoftwareDevices
  void waitFor_ordersTheWorkOfTwoStreams(DeviceSpec spec) {
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (Stream first = context.newStream();
          Stream second = context.newStream();
          Event written = context.newEvent();
          DeviceMemory source = context.allocate(BYTES);
          DeviceMemory target = context.allocate(BYTES)) {
        for (byte round = 1; round <= 20; round++) {
          first.fill(source.buffer(), round);
          first.record(written);
          second.waitFor(written);
          second.copy(target.buffer(), source.buffer(), BYTES);
          byte[] read = DeviceData.readBytes(context, second, target.buffer());
          assertEquals(round, read[0]);
          assertEquals(round, read[BYTES - 1]);
        }
      }
    });
  }

  @GpuTest
  void waitFor_ordersTheWorkOfTwoStreams_gpu(DeviceSpec gpu) {
    waitFor_ordersTheWorkOfTwoStreams(gpu);
  }

  @OnSoftwareDevices
  void event_isDoneAfterSynchronizeAndMeasuresTime(DeviceSpec spec) {
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (Stream stream = context.newStream();
          Event start = context.newEvent();
          Event end = context.newEvent();
          DeviceMemory memory = context.allocate(1 << 20)) {
        assertTrue(start.isDone(), "an event never recorded is done");
        stream.record(start);
        stream.fill(memory.buffer(), (byte) 1);
        stream.record(end);
        end.synchronize();
        assertTrue(start.isDone());
        assertTrue(end.isDone());
        float milliseconds = end.millisecondsSince(start);
        assertTrue(milliseconds >= 0 && milliseconds < 60_000, milliseconds + " ms");
      }
    });
  }

  @GpuTest
  void event_isDoneAfterSynchronizeAndMeasuresTime_gpu(DeviceSpec gpu) {
    event_isDoneAfterSynchronizeAndMeasuresTime(gpu);
  }

  @OnSoftwareDevices
  void graph_replaysItsWorkOnTheBuffersPresentContents(DeviceSpec spec) {
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (Stream stream = context.newStream();
          DeviceMemory source = context.allocate(BYTES);
          DeviceMemory middle = context.allocate(BYTES);
          DeviceMemory target = context.allocate(BYTES)) {
        stream.fill(target.buffer(), (byte) 0);
        try (Graph graph =
            stream.capture(() -> {
              stream.copy(middle.buffer(), source.buffer(), BYTES);
              stream.copy(target.buffer(), middle.buffer(), BYTES);
            })) {
          assertEquals(2, graph.nodeCount());
          assertEquals(
              0,
              DeviceData.readBytes(context, stream, target.buffer())[0],
              "capturing executes nothing");
          for (byte value = 1; value < 5; value++) {
            stream.fill(source.buffer(), value);
            graph.launch(stream);
            assertEquals(value, DeviceData.readBytes(context, stream, target.buffer())[BYTES - 1]);
          }
        }
      }
    });
  }

  @GpuTest
  void graph_replaysItsWorkOnTheBuffersPresentContents_gpu(DeviceSpec gpu) {
    graph_replaysItsWorkOnTheBuffersPresentContents(gpu);
  }

  @OnSoftwareDevices
  void graphUpdate_changesParametersInPlaceAndShapesByNewInstance(DeviceSpec spec) {
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (Stream stream = context.newStream();
          DeviceMemory target = context.allocate(BYTES);
          Graph graph = stream.capture(() -> stream.fill(target.buffer(), (byte) 1))) {
        graph.launch(stream);
        graph.update(stream, () -> stream.fill(target.buffer(), (byte) 2));
        graph.launch(stream);
        assertEquals(2, DeviceData.readBytes(context, stream, target.buffer())[0]);
        graph.update(
            stream,
            () -> {
              stream.fill(target.buffer(), (byte) 3);
              stream.copy(target.slice(0, 8), target.slice(8, 8), 8);
              stream.fill(target.slice(8, 8), (byte) 4);
            });
        assertEquals(3, graph.nodeCount());
        graph.launch(stream);
        byte[] read = DeviceData.readBytes(context, stream, target.buffer());
        assertEquals(3, read[7]);
        assertEquals(4, read[8]);
      }
    });
  }

  @GpuTest
  void graphUpdate_changesParametersInPlaceAndShapesByNewInstance_gpu(DeviceSpec gpu) {
    graphUpdate_changesParametersInPlaceAndShapesByNewInstance(gpu);
  }

  @OnSoftwareDevices
  void capture_thatFailsLeavesTheStreamUsable(DeviceSpec spec) {
    Context context = TestDevices.context(spec);
    context.run(() -> {
      try (Stream stream = context.newStream();
          DeviceMemory target = context.allocate(BYTES)) {
        var thrown = new IllegalStateException("mine");
        assertEquals(
            thrown,
            assertThrows(
                IllegalStateException.class,
                () ->
                    stream.capture(() -> {
                      stream.fill(target.buffer(), (byte) 1);
                      throw thrown;
                    })));
        var refused = assertThrows(CudaException.class, () -> stream.capture(stream::synchronize));
        assertEquals("cuStreamSynchronize", refused.function());
        stream.fill(target.buffer(), (byte) 2);
        assertEquals(2, DeviceData.readBytes(context, stream, target.buffer())[0]);
      }
    });
  }

  @GpuTest
  void capture_thatFailsLeavesTheStreamUsable_gpu(DeviceSpec gpu) {
    capture_thatFailsLeavesTheStreamUsable(gpu);
  }

  @OnSoftwareDevices
  void capturedLaunch_keepsTheArgumentsOfItsCapture(DeviceSpec spec) {
    Seed seed = Seed.fresh();
    Context context = TestDevices.context(spec);
    context.run(() -> {
      float[] values = seed.normals(6, 1);
      try (Stream stream = context.newStream();
          Module module = context.loadModule("gather");
          DeviceMemory in = DeviceData.f32(context, stream, values);
          DeviceMemory index = DeviceData.i32(context, stream, 2, 0);
          DeviceMemory out = context.allocate(4 * Float.BYTES)) {
        Kernel gather = KernelTest.gather(module);
        gather.set(0, out.buffer()).set(1, in.buffer()).set(2, index.buffer());
        gather.set(3, 2).set(4, 2);
        try (Graph graph = stream.capture(() -> gather.launch(stream, 2, 1, 1, 32, 0))) {
          gather.set(0, in.buffer()).set(3, 1).set(4, 1);
          graph.launch(stream);
          assertArrayEquals(
              new float[] {values[4], values[5], values[0], values[1]},
              DeviceData.readF32(context, stream, out.buffer()),
              seed.toString());
        }
      }
    });
  }

  @GpuTest
  void capturedLaunch_keepsTheArgumentsOfItsCapture_gpu(DeviceSpec gpu) {
    capturedLaunch_keepsTheArgumentsOfItsCapture(gpu);
  }
}
