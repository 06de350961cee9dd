package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Context;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.diffusion.GoldenCases.GoldenCase;
import dev.remask.diffusion.GoldenCases.GoldenModel;
import dev.remask.kernel.DType;
import dev.remask.model.ModelException;
import dev.remask.testing.SafeTensorsEdit;
import dev.remask.testing.TestDevices;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Failures in the middle of a generation: a clear error, nothing leaks, the next one works.
class FaultTest {
  private static final GoldenCase GOLDEN = GoldenModel.MICRO.cases().getFirst();

  private static final String LOOP = "remask.loop";

  @TempDir private Path folder;

  @AfterEach
  void takeFaultsBack() {
    SoftwareDevice.setFault(null);
    System.clearProperty(LOOP);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "steps cuMemcpyHtoDAsync:1:ILLEGAL_ADDRESS",
        "while cuMemcpyHtoDAsync:4:INVALID_VALUE",
        "while cuMemsetD8Async:1:ILLEGAL_ADDRESS",
        "steps cuStreamBeginCapture:1:OUT_OF_MEMORY",
        "while cuStreamBeginCaptureToGraph:1:OUT_OF_MEMORY",
        "steps cuLaunchKernel:9:LAUNCH_OUT_OF_RESOURCES",
        "while cuLaunchKernel:12:LAUNCH_OUT_OF_RESOURCES",
        "steps cuStreamEndCapture:1:STREAM_CAPTURE_INVALIDATED",
        "while cuStreamEndCapture:1:STREAM_CAPTURE_INVALIDATED",
        "steps cuGraphInstantiateWithFlags:1:OUT_OF_MEMORY",
        "while cuGraphInstantiateWithFlags:1:OUT_OF_MEMORY",
        "steps cuGraphLaunch:1:LAUNCH_FAILED",
        "while cuGraphLaunch:1:LAUNCH_FAILED",
        "steps cuGraphLaunch:7:LAUNCH_FAILED",
        "steps cuEventRecord:3:INVALID_HANDLE",
        "while cuEventRecord:2:INVALID_HANDLE",
        "steps cuEventSynchronize:2:LAUNCH_FAILED",
        "steps cuMemcpyDtoHAsync:1:INVALID_VALUE",
        "while cuMemcpyDtoHAsync:1:INVALID_VALUE",
        "while cuStreamSynchronize:1:ILLEGAL_ADDRESS"
      })
  void faultDuringAGeneration_isReported_andNothingLeaks(String modeAndFault) {
    String fault = modeAndFault.substring(modeAndFault.indexOf(' ') + 1);
    System.setProperty(LOOP, modeAndFault.substring(0, modeAndFault.indexOf(' ')));
    long allocations = SoftwareDevice.liveAllocations();
    long bytes = SoftwareDevice.liveBytes();
    try (var loaded = LoadedDenoiser.open(TestDevices.software(), DType.F32, GoldenModel.MICRO)) {
      long held = loaded.context.deviceBytesInUse();
      SoftwareDevice.setFault(fault);
      var e =
          assertThrows(
              CudaException.class, () -> loaded.run(GOLDEN.promptIds(), GOLDEN.options(), true));
      assertTrue(
          e.getMessage().contains(fault.substring(fault.lastIndexOf(':') + 1)), e::getMessage);
      SoftwareDevice.setFault(null);
      assertEquals(held, loaded.context.deviceBytesInUse());
    }
    assertEquals(allocations, SoftwareDevice.liveAllocations());
    assertEquals(bytes, SoftwareDevice.liveBytes());
    try (var again = LoadedDenoiser.open(TestDevices.software(), DType.F32, GoldenModel.MICRO)) {
      GoldenGenerationTest.check(
          GOLDEN, again.run(GOLDEN.promptIds(), GOLDEN.options(), true), DType.F32);
    }
  }

  @Test
  void memoryThatIsNotThere_failsTheLoad_andNothingLeaks() {
    Context context = TestDevices.newContext(TestDevices.software());
    try (context) {
      long allocations = SoftwareDevice.liveAllocations();
      for (String fault :
          new String[] {
            "cuMemAlloc:1:OUT_OF_MEMORY",
            "cuMemHostAlloc:1:OUT_OF_MEMORY",
            "cuMemHostAlloc:2:OUT_OF_MEMORY",
            "cuMemHostAlloc:3:OUT_OF_MEMORY"
          }) {
        SoftwareDevice.setFault(fault);
        assertThrows(
            CudaException.class,
            () -> context.run(() -> new LoopMemory(context, LoadedDenoiser.LIMITS, 512)));
        SoftwareDevice.setFault(null);
        assertEquals(allocations, SoftwareDevice.liveAllocations(), fault);
      }
    }
  }

  @Test
  void logitsThatAreNaN_areAnErrorThatNamesBlockAndStep() throws IOException {
    Path source = GoldenModel.MICRO.checkpoint();
    Files.copy(source.resolve("config.json"), folder.resolve("config.json"));
    Path weights = folder.resolve("model.safetensors");
    Files.copy(source.resolve("model.safetensors"), weights);
    SafeTensorsEdit.overwriteWithNaN(weights, "model.transformer.ln_f.weight");
    var options = DiffusionOptions.builder().genLength(6).blockLength(3).steps(4).build();
    try (var loaded = LoadedDenoiser.open(TestDevices.software(), DType.F32, folder)) {
      var e = assertThrows(ModelException.class, () -> loaded.run(new int[] {1}, options, false));
      assertTrue(e.getMessage().startsWith("no token could be chosen"), e.getMessage());
      assertTrue(e.getMessage().contains("block 0"), e.getMessage());
      assertTrue(e.getMessage().contains("step 0"), e.getMessage());
    }
  }
}
