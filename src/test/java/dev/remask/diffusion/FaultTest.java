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
import dev.remask.testing.TestDevices;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Failures in the middle of a generation: a clear error, nothing leaks, the next one works.
class FaultTest {
  private static final GoldenCase GOLDEN = GoldenModel.MICRO.cases().getFirst();

  @TempDir private Path folder;

  @AfterEach
  void takeFaultsBack() {
    SoftwareDevice.setFault(null);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "cuMemcpyHtoDAsync:1:ILLEGAL_ADDRESS",
        "cuMemcpyHtoDAsync:4:INVALID_VALUE",
        "cuStreamBeginCapture:1:OUT_OF_MEMORY",
        "cuLaunchKernel:9:LAUNCH_OUT_OF_RESOURCES",
        "cuStreamEndCapture:1:STREAM_CAPTURE_INVALIDATED",
        "cuGraphInstantiateWithFlags:1:OUT_OF_MEMORY",
        "cuGraphLaunch:1:LAUNCH_FAILED",
        "cuGraphLaunch:7:LAUNCH_FAILED",
        "cuEventRecord:3:INVALID_HANDLE",
        "cuEventSynchronize:2:LAUNCH_FAILED",
        "cuMemcpyDtoHAsync:1:INVALID_VALUE",
        "cuStreamSynchronize:2:ILLEGAL_ADDRESS"
      })
  void faultDuringAGeneration_isReported_andNothingLeaks(String fault) {
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
            "cuMemHostAlloc:2:OUT_OF_MEMORY"
          }) {
        SoftwareDevice.setFault(fault);
        assertThrows(
            CudaException.class,
            () -> context.run(() -> new DenoiserMemory(context, LoadedDenoiser.LIMITS, 512)));
        SoftwareDevice.setFault(null);
        assertEquals(allocations, SoftwareDevice.liveAllocations(), fault);
      }
    }
  }

  @Test
  void logitsThatAreNaN_areAnErrorThatNamesThePosition() throws IOException {
    Path source = GoldenModel.MICRO.checkpoint();
    Files.copy(source.resolve("config.json"), folder.resolve("config.json"));
    Path weights = folder.resolve("model.safetensors");
    Files.copy(source.resolve("model.safetensors"), weights);
    overwriteWithNaN(weights, "model.transformer.ln_f.weight");
    var options = DiffusionOptions.builder().genLength(6).blockLength(3).steps(4).build();
    try (var loaded = LoadedDenoiser.open(TestDevices.software(), DType.F32, folder)) {
      var e = assertThrows(ModelException.class, () -> loaded.run(new int[] {1}, options, false));
      assertTrue(
          e.getMessage().startsWith("no token could be chosen for answer position 0"),
          e.getMessage());
      assertTrue(e.getMessage().contains("block 0"), e.getMessage());
      assertTrue(e.getMessage().contains("step 1"), e.getMessage());
    }
  }

  private static void overwriteWithNaN(Path safetensors, String tensor) throws IOException {
    try (var file = new RandomAccessFile(safetensors.toFile(), "rw");
        FileChannel channel = file.getChannel()) {
      ByteBuffer size = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      channel.read(size, 0);
      ByteBuffer header = ByteBuffer.allocate((int) size.getLong(0));
      channel.read(header, Long.BYTES);
      JsonNode entry = JsonMapper.shared().readTree(header.array()).get(tensor);
      assertEquals("F32", entry.get("dtype").asString());
      long data = Long.BYTES + header.capacity();
      long begin = entry.get("data_offsets").get(0).asLong();
      long end = entry.get("data_offsets").get(1).asLong();
      ByteBuffer values = ByteBuffer.allocate((int) (end - begin)).order(ByteOrder.LITTLE_ENDIAN);
      while (values.hasRemaining()) {
        values.putFloat(Float.NaN);
      }
      channel.write(values.flip(), data + begin);
    }
  }
}
