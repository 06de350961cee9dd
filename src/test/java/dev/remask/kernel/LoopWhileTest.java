package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.Graph;
import dev.remask.cuda.PinnedMemory;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.TestDevices;

class LoopWhileTest {
  private static final int PROGRESS_INTS = DiffusionState.PROGRESS_BYTES / Integer.BYTES;
  private static final int MEMBER_INTS = DiffusionState.MEMBER_BYTES / Integer.BYTES;

  /// Where a Progress has its status.
  private static final int STATUS = 3;

  @OnSoftwareDevices
  void loopWhile_goesOn_whileAllMembersRun_andControlIsClear(DeviceSpec device) {
    KernelBench.on(
        device,
        DType.F32,
        Architecture.PORTABLE,
        bench -> {
          for (int members : new int[] {1, 2, 255, 256, 257, 600}) {
            // A slot that is no member may have any status.
            assertEquals(true, goesOn(bench, device, members, -1, SequenceStatus.RUNNING, 0));
            assertEquals(false, goesOn(bench, device, members, -1, SequenceStatus.RUNNING, 7));
            for (int stopped : new int[] {0, members / 2, members - 1}) {
              for (SequenceStatus status : SequenceStatus.values()) {
                assertEquals(
                    status == SequenceStatus.RUNNING,
                    goesOn(bench, device, members, stopped, status, 0),
                    status + " at " + stopped + " of " + members);
              }
            }
          }
        });
  }

  @GpuTest
  void loopWhile_goesOn_whileAllMembersRun_andControlIsClear_gpu(DeviceSpec gpu) {
    loopWhile_goesOn_whileAllMembersRun_andControlIsClear(gpu);
  }

  /// What the kernel decides, as an IF node behind it sees it. Member i has slot 2·i + 1.
  private static boolean goesOn(
      KernelBench bench,
      DeviceSpec device,
      int members,
      int stopped,
      SequenceStatus status,
      int control) {
    int[] progress = new int[2 * members * PROGRESS_INTS];
    int[] table = new int[members * MEMBER_INTS];
    for (int i = 0; i < members; i++) {
      progress[2 * i * PROGRESS_INTS + STATUS] = SequenceStatus.STUCK.code;
      progress[(2 * i + 1) * PROGRESS_INTS + STATUS] =
          i == stopped ? status.code : SequenceStatus.RUNNING.code;
      table[i * MEMBER_INTS] = 2 * i + 1;
    }
    var out = bench.ints(0);
    LoopWhile loop = bench.operations.loopWhile().orElseThrow();
    try (PinnedMemory word = TestDevices.context(device).allocateMapped(Integer.BYTES)) {
      word.storeInt(0, control);
      var buffers =
          new LoopWhile.Buffers(
              bench.ints(progress).buffer(), bench.ints(table).buffer(), word.deviceBuffer());
      try (Graph graph =
          bench.stream.build(g -> {
            var condition = g.condition(1);
            g.capture(() -> loop.launch(bench.stream, condition, buffers, members));
            g.runIf(
                condition, body -> body.capture(() -> bench.stream.fill(out.buffer(), (byte) 1)));
          })) {
        graph.launch(bench.stream);
        bench.stream.synchronize();
        return out.read()[0] != 0;
      }
    }
  }

  @OnSoftwareDevices
  void launch_checksItsBuffers(DeviceSpec device) {
    KernelBench.on(
        device,
        DType.F32,
        Architecture.PORTABLE,
        bench -> {
          LoopWhile loop = bench.operations.loopWhile().orElseThrow();
          DeviceBuffer member = bench.ints(new int[MEMBER_INTS]).buffer();
          DeviceBuffer empty = bench.ints(new int[0]).buffer();
          bench
              .stream
              .build(g -> {
                var condition = g.condition(0);
                var small = new LoopWhile.Buffers(member, member, member);
                assertThrows(
                    IllegalArgumentException.class,
                    () -> loop.launch(bench.stream, condition, small, 2));
                assertThrows(
                    IllegalArgumentException.class,
                    () -> loop.launch(bench.stream, condition, small, 0));
                var noControl = new LoopWhile.Buffers(member, member, empty);
                assertThrows(
                    IllegalArgumentException.class,
                    () -> loop.launch(bench.stream, condition, noControl, 1));
                g.runIf(condition, body -> {});
              })
              .close();
        });
  }
}
