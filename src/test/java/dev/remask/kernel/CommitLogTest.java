package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.PinnedMemory;
import dev.remask.kernel.DiffusionState.CommitRecord;
import dev.remask.kernel.DiffusionState.Member;
import dev.remask.kernel.DiffusionState.PlanEntry;
import dev.remask.kernel.DiffusionState.Progress;
import dev.remask.kernel.DiffusionState.Sequence;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.TestDevices;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;

/// The commit log as the host reads it while kernels write it.
class CommitLogTest {
  private static final int BLOCK = 64;
  private static final int BLOCKS = 150;
  private static final int MASKS = BLOCK * BLOCKS;
  private static final int HEAD = MASKS * DiffusionState.COMMIT_RECORD_BYTES;
  private static final long PATIENCE = Duration.ofSeconds(60).toNanos();

  /// One slot, every step of which commits a block of 64.
  private static final class Loop implements AutoCloseable {
    private final KernelBench bench;
    private final DeviceMemory state;
    private final PinnedMemory log;
    private final KernelBench.Ints rows;
    private final KernelBench.Ints rowIndex;
    private final KernelBench.Ints masks;
    private final KernelBench.Ints canvas;
    private final KernelBench.Ints candidates;
    private final KernelBench.Floats keys;

    Loop(KernelBench bench, Context context) {
      this.bench = bench;
      log = context.allocateMapped(HEAD + Integer.BYTES);
      ByteBuffer words = log.buffer();
      while (words.hasRemaining()) {
        words.put((byte) -1);
      }
      log.storeInt(HEAD, 0);
      rows = bench.ints(new int[BLOCK * DiffusionState.ROW_BYTES / Integer.BYTES]);
      rowIndex = bench.ints(new int[BLOCK]);
      var positions = new int[MASKS];
      Arrays.setAll(positions, i -> i);
      masks = bench.ints(positions);
      var tokens = new int[MASKS];
      Arrays.fill(tokens, StepCase.MASK);
      canvas = bench.ints(tokens);
      var chosen = new int[BLOCK];
      Arrays.setAll(chosen, i -> 100 + i);
      candidates = bench.ints(chosen);
      var doubts = new float[BLOCK];
      Arrays.fill(doubts, 1);
      keys = bench.floats(DType.F32, doubts);
      state = context.allocate(PLAN + (long) BLOCKS * DiffusionState.PLAN_ENTRY_BYTES);
      try (PinnedMemory staging = context.allocatePinned(state.bytes())) {
        DiffusionState.write(
            staging,
            SEQUENCE,
            new Sequence(
                0,
                DiffusionState.NO_GUIDANCE,
                MASKS,
                BLOCK,
                BLOCKS,
                DiffusionState.LOG,
                1,
                0,
                0,
                RemaskingRule.LOW_CONFIDENCE,
                CommitRule.QUOTA,
                0,
                0,
                0,
                1,
                0,
                0,
                0,
                MASKS,
                0));
        DiffusionState.write(staging, PROGRESS, Progress.start(0, 0, BLOCK));
        DiffusionState.write(staging, MEMBER, new Member(0, 0, 0, 0, 0, 0, false));
        for (int b = 0; b < BLOCKS; b++) {
          long at = PLAN + (long) b * DiffusionState.PLAN_ENTRY_BYTES;
          DiffusionState.write(staging, at, new PlanEntry(b, BLOCK, 1000 + b, 0, 0));
        }
        bench.stream.copyToDevice(state.buffer(), staging, 0, state.bytes());
        bench.stream.synchronize();
      }
    }

    private static final int SEQUENCE = 0;
    private static final int PROGRESS = 256;
    private static final int MEMBER = 512;
    private static final int PLAN = 768;

    void enqueueStep() {
      var sequence = state.slice(SEQUENCE, DiffusionState.SEQUENCE_BYTES);
      var progress = state.slice(PROGRESS, DiffusionState.PROGRESS_BYTES);
      var member = state.slice(MEMBER, DiffusionState.MEMBER_BYTES);
      var plan = state.slice(PLAN, (long) BLOCKS * DiffusionState.PLAN_ENTRY_BYTES);
      var lay =
          new LayRows.Buffers(
              rows.buffer(),
              rowIndex.buffer(),
              sequence,
              progress,
              plan,
              masks.buffer(),
              canvas.buffer(),
              member);
      var commit =
          new Commit.Buffers(
              canvas.buffer(),
              progress,
              log.deviceBuffer(),
              log.deviceBuffer().slice(HEAD, Integer.BYTES),
              keys.buffer(),
              candidates.buffer(),
              rows.buffer(),
              sequence,
              plan,
              masks.buffer(),
              member);
      bench.operations.layRows().launch(bench.stream, lay, 1, StepCase.MASK);
      bench.operations.commit().launch(bench.stream, commit, 1, StepCase.TOKENS);
    }

    /// Records that the head says are there.
    int size() {
      return log.loadInt(HEAD);
    }

    CommitRecord record(int index) {
      return DiffusionState.readCommitRecord(
          log, (long) index * DiffusionState.COMMIT_RECORD_BYTES);
    }

    @Override
    public void close() {
      bench.stream.synchronize();
      state.close();
      log.close();
    }
  }

  @OnSoftwareDevices
  void head_countsOnlyRecordsThatAreThere_whileTheDeviceRuns(DeviceSpec device) {
    KernelBench.on(
        device,
        DType.F32,
        Architecture.PORTABLE,
        bench -> {
          try (var loop = new Loop(bench, TestDevices.context(device))) {
            for (int step = 0; step < BLOCKS; step++) {
              loop.enqueueStep();
            }
            int seen = 0;
            long deadline = System.nanoTime() + PATIENCE;
            while (seen < MASKS) {
              int size = loop.size();
              assertTrue(size >= seen && size % BLOCK == 0, "head " + size + " after " + seen);
              for (; seen < size; seen++) {
                var expected =
                    new CommitRecord(1000 + seen / BLOCK, seen, 100 + seen % BLOCK, 0.5f);
                assertEquals(expected, loop.record(seen));
              }
              assertTrue(System.nanoTime() < deadline, seen + " of " + MASKS + " records");
              Thread.onSpinWait();
            }
          }
        });
  }

  @GpuTest
  void head_countsOnlyRecordsThatAreThere_whileTheDeviceRuns_gpu(DeviceSpec gpu) {
    head_countsOnlyRecordsThatAreThere_whileTheDeviceRuns(gpu);
  }
}
