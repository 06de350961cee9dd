package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.Graph;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.kernel.DType;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Map;
import java.util.random.RandomGenerator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What passes of one key share: captured graphs, and memory that is made once.
class PassReuseTest {
  private static final com.sun.management.ThreadMXBean THREADS =
      (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
  private static final RandomModel MODEL = RandomModel.small(TensorType.F32, 6);
  private static final int CANVAS = 1000;
  private static final WorkspaceLimits LIMITS = new WorkspaceLimits(300, 100, 12, 900);

  @TempDir private java.nio.file.Path folder;

  private PassBench open(DeviceSpec device, DType dtype) throws IOException {
    Context context = TestDevices.context(device);
    return new PassBench(context, MODEL.write(folder, 1), dtype, LIMITS, CANVAS);
  }

  /// Passes of one to three sequences of few sizes, so that keys come back.
  private static PassShape similar(RandomGenerator random) {
    var sequences = new ArrayList<PassSequence>();
    int cache = random.nextInt(20);
    int count = 1 + random.nextInt(3);
    for (int i = 0; i < count; i++) {
      int canvas = random.nextInt(CANVAS - 300);
      if (random.nextBoolean()) {
        sequences.add(PassSequence.whole(canvas, 9 + random.nextInt(16)));
      } else {
        int length = random.nextInt(4) == 0 ? 280 : 20 + random.nextInt(30);
        int queries = 9 + random.nextInt(8);
        int first = random.nextInt(length - queries + 1);
        sequences.add(new PassSequence(canvas, first, queries, length, cache));
        cache += length + random.nextInt(9);
      }
    }
    return PassShape.of(sequences, 1 + random.nextInt(20));
  }

  private static int[] rows(PassShape shape, RandomGenerator random) {
    return random.ints(shape.rows(), 0, shape.queries()).toArray();
  }

  @OnSoftwareDevices
  void graph_runsEveryPassOfItsKey(DeviceSpec device) throws IOException {
    Seed seed = Seed.fresh();
    boolean emulated = device.equals(TestDevices.emulator());
    for (DType dtype : DType.values()) {
      try (var bench = open(device, dtype)) {
        bench.put(0, seed.ints(CANVAS, MODEL.vocabSize()));
        // Stale keys are as good as any here, if they are numbers.
        for (int begin = 0; begin < 900; begin += 300) {
          bench.store(new PassSequence(begin, 0, 300, 300, begin));
        }
        bench.context.run(() -> {
          Map<PassKey, Graph> graphs = new HashMap<>();
          int reused = 0;
          for (int i = 0; i < (emulated ? 25 : 300) || reused == 0; i++) {
            PassShape shape = similar(seed.random());
            int[] rows = rows(shape, seed.random());
            Batch batch = bench.prepare(shape, rows);
            batch.forward();
            float[] expected = PackedForward.logits(bench.context, bench.predictor, batch);
            Graph graph = graphs.get(batch.key());
            if (graph == null) {
              graphs.put(batch.key(), bench.predictor.stream().capture(batch::forward));
              continue;
            }
            reused++;
            batch = bench.prepare(shape, rows);
            graph.launch(bench.predictor.stream());
            assertArrayEquals(
                expected,
                PackedForward.logits(bench.context, bench.predictor, batch),
                device + ", " + dtype + ", " + seed);
          }
          graphs.values().forEach(Graph::close);
        });
      }
    }
  }

  @GpuTest
  void graphs_onGpu(DeviceSpec gpu) throws IOException {
    graph_runsEveryPassOfItsKey(gpu);
  }

  /// Laying a pass of a known key, as at every join and leave.
  @Test
  void prepareOfAKnownKey_isOneUpload_andLittleHeap() throws IOException {
    try (var bench = open(TestDevices.software(), DType.BF16)) {
      PassShape[] shapes = {crowd(23), crowd(24)};
      bench.context.run(() -> {
        PassKey key = bench.predictor.prepare(shapes[0], bench.canvas()).key();
        assertEquals(key, bench.predictor.prepare(shapes[1], bench.canvas()).key());
        long device = bench.context.deviceBytesInUse();
        long copies = SoftwareDevice.callCount("cuMemcpyHtoDAsync_v2");
        long waits = SoftwareDevice.callCount("cuStreamSynchronize");
        long least = Long.MAX_VALUE;
        int rounds = 2_000;
        for (int i = 0; i < rounds; i++) {
          long before = THREADS.getCurrentThreadAllocatedBytes();
          bench.predictor.prepare(shapes[i % 2], bench.canvas());
          least = Math.min(least, THREADS.getCurrentThreadAllocatedBytes() - before);
        }
        assertEquals(device, bench.context.deviceBytesInUse());
        assertEquals(rounds, SoftwareDevice.callCount("cuMemcpyHtoDAsync_v2") - copies);
        assertEquals(0, SoftwareDevice.callCount("cuStreamSynchronize") - waits);
        assertTrue(least < 4_096, least + " Java bytes for ten sequences");
      });
    }
  }

  /// Ten sequences, half of them cached.
  private static PassShape crowd(int length) {
    var sequences = new ArrayList<PassSequence>();
    for (int i = 0; i < 5; i++) {
      sequences.add(PassSequence.whole(30 * i, length));
      sequences.add(new PassSequence(500 + 40 * i, length - 16, 16, length, 30 * i));
    }
    return PassShape.of(sequences, 96);
  }

  /// The tables of every pass within the limits have room, the largest ones too.
  @OnSoftwareDevices
  void everyPassWithinTheLimits_canBePrepared(DeviceSpec device) throws IOException {
    Seed seed = Seed.fresh();
    var random = seed.random();
    try (var bench = open(device, DType.BF16)) {
      var ends = new int[] {1, 2, 7, LIMITS.maxSequences() - 1, LIMITS.maxSequences()};
      for (int round = 0; round < 300; round++) {
        int count = ends[random.nextInt(ends.length)];
        boolean full = random.nextBoolean();
        var sequences = new ArrayList<PassSequence>();
        int tokens = LIMITS.maxTokens();
        int cache = LIMITS.maxCacheTokens();
        for (int i = 0; i < count; i++) {
          int left = count - i - 1;
          int most = left == 0 && full ? tokens : 1 + random.nextInt(tokens - left);
          tokens -= most;
          int longest = Math.min(cache - left * LIMITS.maxTokens() / count, 640);
          if (random.nextBoolean() && longest >= most) {
            int length = most + random.nextInt(longest - most + 1);
            cache -= length;
            sequences.add(new PassSequence(0, length - most, most, length, cache));
          } else {
            sequences.add(PassSequence.whole(0, most));
          }
        }
        PassShape shape = PassShape.of(sequences, full ? LIMITS.maxRows() : 1);
        Batch batch = bench.predictor.prepare(shape, bench.canvas());
        assertTrue(batch.tokenCount() <= LIMITS.maxTokens(), seed::toString);
        assertTrue(batch.tokenCount() - shape.queries() <= Math.max(7, shape.queries() / 8));
        assertTrue(batch.rowCount() <= LIMITS.maxRows());
      }
    }
  }
}
