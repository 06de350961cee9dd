package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DType;
import dev.remask.kernel.DiffusionState;
import dev.remask.kernel.DiffusionState.Member;
import dev.remask.kernel.DiffusionState.Progress;
import dev.remask.kernel.Operations;
import dev.remask.kernel.SequenceStatus;
import dev.remask.testing.GpuTest;
import dev.remask.testing.TestDevices;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Steps that are no denoising: each moves a tape of Progress records on by one.
class StepRunnerTest {
  private static final int BYTES = DiffusionState.PROGRESS_BYTES;

  /// Of the tape; a step that goes past it finds its last record again.
  private static final int TAPE = 40;

  private static final int SLOTS = 2;

  record Case(DeviceSpec device, String loop) {}

  static List<Case> cases() {
    return TestDevices.softwareDevices()
        .flatMap(
            device -> java.util.stream.Stream.of("while", "steps").map(l -> new Case(device, l)))
        .toList();
  }

  @AfterEach
  void anyLoop() {
    System.clearProperty("remask.loop");
    SoftwareDevice.setFault(null);
  }

  /// A runner over two slots, the second of which takes part; its cursor counts the steps.
  private static final class Bench implements AutoCloseable {
    final Operations operations;
    final Stream stream;
    final DeviceMemory memory;
    final DeviceBuffer progress;
    final DeviceBuffer tape;
    final DeviceBuffer shifted;
    final PinnedMemory host;
    final PinnedMemory copy;
    final StopWord stop;
    final StepRunner runner;
    final AtomicInteger enqueued = new AtomicInteger();

    Bench(Context context) {
      operations = Operations.load(context, DType.F32);
      stream = context.newStream();
      memory = context.allocate(BYTES * (SLOTS + 2L * TAPE) + DiffusionState.MEMBER_BYTES);
      progress = memory.slice(0, BYTES * SLOTS);
      tape = memory.slice(BYTES * SLOTS, BYTES * (long) TAPE);
      shifted = memory.slice(BYTES * (SLOTS + (long) TAPE), BYTES * (long) TAPE);
      DeviceBuffer members = memory.slice(BYTES * (SLOTS + 2L * TAPE), DiffusionState.MEMBER_BYTES);
      host = context.allocatePinned(BYTES * (SLOTS + (long) TAPE) + DiffusionState.MEMBER_BYTES);
      copy = context.allocatePinned(BYTES * SLOTS);
      stop = StopWord.create(context);
      runner =
          new StepRunner(
              context,
              stream,
              new StepRunner.State(progress, copy, members, stop),
              operations.loopWhile());
      DiffusionState.write(host, 0, new Member(1, 0, 0, 0, 0, 0, false));
      stream.copyToDevice(members, host, 0, DiffusionState.MEMBER_BYTES);
      stream.synchronize();
    }

    /// Makes the sequence end after `steps` steps; without end if that is not on the tape.
    void write(int steps) {
      DiffusionState.write(host, 0, Progress.start(0, 0, 0).with(SequenceStatus.STUCK));
      DiffusionState.write(host, BYTES, Progress.start(0, 0, 0));
      for (int i = 0; i < TAPE; i++) {
        Progress at = Progress.start(i + 1, 0, 0);
        DiffusionState.write(
            host, BYTES * (SLOTS + (long) i), i + 1 >= steps ? at.with(SequenceStatus.FILLED) : at);
      }
      stream.copyToDevice(progress, host, 0, BYTES * SLOTS);
      stream.copyToDevice(tape, host, BYTES * SLOTS, tape.bytes());
      stream.synchronize();
    }

    private void step(Stream on) {
      enqueued.incrementAndGet();
      on.copy(progress.slice(BYTES, BYTES), tape, BYTES);
      long rest = BYTES * (TAPE - 1L);
      on.copy(shifted, tape.slice(BYTES, rest), rest);
      on.copy(tape, shifted, rest);
    }

    Progress run(Object key, int certainSteps, Runnable onPoll) {
      runner.run(key, this::step, new int[] {1}, certainSteps, onPoll);
      assertEquals(
          SequenceStatus.STUCK, DiffusionState.readProgress(copy, 0).status(), "another slot's");
      return DiffusionState.readProgress(copy, BYTES);
    }

    @Override
    public void close() {
      stream.synchronize();
      runner.close();
      stop.close();
      copy.close();
      host.close();
      memory.close();
      stream.close();
      operations.close();
    }
  }

  private static void on(Case setting, Consumer<Bench> body) {
    System.setProperty("remask.loop", setting.loop);
    Context context = TestDevices.context(setting.device);
    context.run(() -> {
      try (var bench = new Bench(context)) {
        body.accept(bench);
      }
    });
  }

  @ParameterizedTest
  @MethodSource("cases")
  void run_endsAtTheStepThatEndsAMember(Case setting) {
    on(
        setting,
        bench -> {
          for (int steps : new int[] {1, 2, 3, 1, 7, TAPE}) {
            for (int certain : new int[] {0, 1, 2, steps}) {
              bench.write(steps);
              Progress end = bench.run("step", Math.min(certain, steps), null);
              assertEquals(SequenceStatus.FILLED, end.status());
              assertEquals(steps, end.cursor(), "steps, of which certain: " + certain);
            }
          }
          assertEquals(2, bench.enqueued.get(), "once as it is, once captured");
        });
  }

  @GpuTest
  void run_endsAtTheStepThatEndsAMember_gpu(DeviceSpec gpu) {
    run_endsAtTheStepThatEndsAMember(new Case(gpu, "while"));
    run_endsAtTheStepThatEndsAMember(new Case(gpu, "steps"));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void run_makesAStep_thoughTheStopWordIsSet(Case setting) {
    on(
        setting,
        bench -> {
          for (int run = 0; run < 4; run++) {
            bench.write(TAPE);
            bench.stop.set();
            Progress end = bench.run("step", 10, null);
            bench.stop.clear();
            assertEquals(SequenceStatus.RUNNING, end.status());
            assertEquals(1, end.cursor());
          }
        });
  }

  @ParameterizedTest
  @MethodSource("cases")
  void run_isEndedByTheStopWord_fromAnotherThread(Case setting) {
    on(
        setting,
        bench -> {
          for (int run = 0; run < 3; run++) {
            bench.write(Integer.MAX_VALUE); // never
            var polled = new CountDownLatch(3);
            var setter =
                new Thread(() -> {
                  try {
                    polled.await();
                  } catch (InterruptedException e) {
                    throw new AssertionError(e);
                  }
                  bench.stop.set();
                });
            setter.start();
            Progress end = bench.run("step", 0, polled::countDown);
            assertEquals(SequenceStatus.RUNNING, end.status());
            assertTrue(bench.stop.isSet());
            try {
              setter.join();
            } catch (InterruptedException e) {
              throw new AssertionError(e);
            }
            bench.stop.clear();
          }
        });
  }

  @Test
  void whileLoop_isOneLaunch_andStepsAreOneEach() {
    for (String loop : List.of("while", "steps")) {
      on(
          new Case(TestDevices.software(), loop),
          bench -> {
            for (int warm = 0; warm < 2; warm++) {
              bench.write(2);
              bench.run("step", 0, null);
            }
            for (int steps : new int[] {3, 30}) {
              bench.write(steps);
              long launches = SoftwareDevice.callCount("cuGraphLaunch");
              long kernels = SoftwareDevice.callCount("cuLaunchKernel");
              long others = otherCalls();
              bench.run("step", 0, () -> {});
              if (loop.equals("while")) {
                // A record and a synchronisation; a question to the driver now and then.
                long calls = otherCalls() - others;
                assertTrue(calls <= 6, calls + " calls");
              }
              assertEquals(
                  loop.equals("while") ? 1 : steps,
                  SoftwareDevice.callCount("cuGraphLaunch") - launches);
              assertEquals(kernels, SoftwareDevice.callCount("cuLaunchKernel"));
            }
          });
    }
  }

  private static long otherCalls() {
    return java.util.stream.Stream.of(
            "cuEventRecord",
            "cuEventQuery",
            "cuEventSynchronize",
            "cuStreamSynchronize",
            "cuStreamQuery",
            "cuMemcpyDtoHAsync",
            "cuMemcpyHtoDAsync",
            "cuMemcpyDtoDAsync")
        .mapToLong(SoftwareDevice::callCount)
        .sum();
  }

  @Test
  void stepThatNoWhileNodeTakes_isLaunchedAgainAndAgain() {
    on(
        new Case(TestDevices.software(), "auto"),
        bench -> {
          bench.write(2);
          bench.run("step", 0, null);
          for (int steps : new int[] {5, 7}) {
            bench.write(steps);
            SoftwareDevice.setFault(
                steps == 5 ? "cuGraphInstantiateWithFlags:1:NOT_SUPPORTED" : null);
            long launches = SoftwareDevice.callCount("cuGraphLaunch");
            assertEquals(steps, bench.run("other", 0, null).cursor());
            int plain = steps == 5 ? 1 : 0;
            assertEquals(steps - plain, SoftwareDevice.callCount("cuGraphLaunch") - launches);
          }
        });
  }

  @ParameterizedTest
  @MethodSource("cases")
  void graphs_areBounded_andTheOldestGoes(Case setting) {
    on(
        setting,
        bench -> {
          long destroyed = SoftwareDevice.callCount("cuGraphExecDestroy");
          for (int key = 0; key < StepRunner.MAX_GRAPHS + 3; key++) {
            bench.write(3);
            assertEquals(3, bench.run(key, 0, null).cursor());
          }
          assertEquals(3, SoftwareDevice.callCount("cuGraphExecDestroy") - destroyed);
          int before = bench.enqueued.get();
          bench.write(3);
          bench.run(StepRunner.MAX_GRAPHS, 0, null);
          assertEquals(before, bench.enqueued.get(), "a recent one is kept");
          bench.write(3);
          bench.run(0, 0, null);
          assertEquals(before + 2, bench.enqueued.get(), "the oldest is not");
        });
  }

  @ParameterizedTest
  @MethodSource("cases")
  void failureWhileCapturing_leavesTheStreamUsable(Case setting) {
    on(
        setting,
        bench -> {
          bench.write(1);
          bench.run("step", 0, null);
          bench.write(5);
          var failure = new IllegalStateException("no step");
          assertEquals(
              failure,
              assertThrows(
                  IllegalStateException.class,
                  () ->
                      bench.runner.run(
                          "step",
                          stream -> {
                            stream.copy(bench.tape, bench.shifted, BYTES);
                            throw failure;
                          },
                          new int[] {1},
                          0,
                          null)));
          bench.write(5);
          assertEquals(5, bench.run("step", 0, null).cursor());
        });
  }

  @Test
  void setting_isChecked() {
    on(
        new Case(TestDevices.software(), "auto"),
        bench -> {
          Context context = TestDevices.context(TestDevices.software());
          var state =
              new StepRunner.State(bench.progress, bench.copy, bench.memory.buffer(), bench.stop);
          System.setProperty("remask.loop", "sometimes");
          assertTrue(
              assertThrows(
                      IllegalArgumentException.class,
                      () -> new StepRunner(context, bench.stream, state, Optional.empty()))
                  .getMessage()
                  .contains("sometimes"));
          System.setProperty("remask.loop", "while");
          assertThrows(
              IllegalStateException.class,
              () -> new StepRunner(context, bench.stream, state, Optional.empty()));
          System.setProperty("remask.loop", "auto");
          new StepRunner(context, bench.stream, state, Optional.empty()).close();
        });
  }
}
