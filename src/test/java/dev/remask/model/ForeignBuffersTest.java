package dev.remask.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.remask.cuda.Attachment;
import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.ForeignClient;
import dev.remask.kernel.DType;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.TestDevices;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.io.TempDir;

/// Tokens in the caller's memory, logits that the caller reads.
class ForeignBuffersTest {
  private static final WorkspaceLimits LIMITS = new WorkspaceLimits(64, 32, 4);
  private static final RandomModel MODEL = RandomModel.small(TensorType.F32, 78);

  @TempDir private Path folder;

  @OnSoftwareDevices
  void forwardPass_readsTheCallersTokens_andHandsOutItsLogits(DeviceSpec spec) throws IOException {
    MODEL.write(folder, 1);
    int[] ids = MODEL.randomIds(13);
    int[] rows = IntStream.range(0, ids.length).toArray();
    Context plain = TestDevices.context(spec);
    float[] expected;
    try (var predictor =
        MaskPredictor.load(plain, folder, DType.F32, LIMITS, ProgressListener.NONE)) {
      expected = PackedForward.run(plain, predictor, ids);
    }
    try (var caller = new ForeignClient(plain.device())) {
      long stream = caller.newStream();
      long tokens = caller.allocate((long) ids.length * Integer.BYTES);
      caller.upload(tokens, ids);
      var attachment = Attachment.to(caller.context()).withStream(stream);
      try (var context = Context.attach(plain.device(), attachment);
          var predictor =
              MaskPredictor.load(context, folder, DType.F32, LIMITS, ProgressListener.NONE)) {
        long logits =
            context.call(() -> {
              try (DeviceMemory adopted =
                  context.adopt(tokens, (long) ids.length * Integer.BYTES)) {
                Batch batch =
                    predictor.prepare(
                        PackedForward.shape(List.of(ids), rows.length), adopted.buffer());
                PackedForward.upload(context, predictor, batch.rowIndex(), rows);
                batch.forward();
                predictor.stream().synchronize();
                return batch.logits().address();
              }
            });
        float[] found = caller.floats(logits, expected.length);
        assertArrayEquals(expected, found);
      }
      caller.free(tokens);
    }
  }

  @GpuTest
  void forwardPass_readsTheCallersTokens_andHandsOutItsLogits_gpu(DeviceSpec gpu)
      throws IOException {
    forwardPass_readsTheCallersTokens_andHandsOutItsLogits(gpu);
  }
}
