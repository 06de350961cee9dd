package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.DeviceSpec;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import java.util.EnumSet;

/// lay_rows and commit_rows against the plain model of the loop, over random runs.
class StepRunTest {
  private static final int RUNS = 150;

  @OnSoftwareDevices
  void layAndCommit_followTheModel_overRandomRuns(DeviceSpec device) {
    long first = Seed.fresh().random().nextLong() >>> 33;
    KernelBench.on(
        device,
        DType.F32,
        Architecture.PORTABLE,
        bench -> {
          var seen = new StepRun.Seen();
          for (int run = 0; run < RUNS; run++) {
            var next = new StepRun(Seed.of(first + run), "random run", 1, 7, 33, 65);
            seen = seen.and(next.run(bench, 60));
          }
          String what = "seen in " + RUNS + " runs from seed " + first;
          assertEquals(EnumSet.allOf(SequenceStatus.class), seen.statuses(), what);
          assertEquals(EnumSet.allOf(CommitRule.class), seen.filledBy(), what);
          assertTrue(seen.masked() > RUNS / 4, what + ": " + seen.masked() + " masked again");
        });
  }

  @GpuTest
  void layAndCommit_followTheModel_overRandomRuns_gpu(DeviceSpec gpu) {
    layAndCommit_followTheModel_overRandomRuns(gpu);
  }

  /// Blocks around the 256 threads of a CTA, and one of 4096.
  @OnSoftwareDevices
  void layAndCommit_followTheModel_inLongBlocks(DeviceSpec device) {
    long first = Seed.fresh().random().nextLong() >>> 33;
    KernelBench.on(
        device,
        DType.F32,
        Architecture.PORTABLE,
        bench -> {
          for (int run = 0; run < RUNS / 8; run++) {
            new StepRun(Seed.of(first + run), "long blocks", 255, 256, 257, 700).run(bench, 20);
            new StepRun(Seed.of(first + run), "very long blocks", 4096).run(bench, 5);
          }
        });
  }

  @GpuTest
  void layAndCommit_followTheModel_inLongBlocks_gpu(DeviceSpec gpu) {
    layAndCommit_followTheModel_inLongBlocks(gpu);
  }
}
