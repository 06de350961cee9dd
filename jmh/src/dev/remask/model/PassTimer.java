package dev.remask.model;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.Graph;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DType;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;

/// Forward passes of one sequence, as a graph: the logits of its last rows.
public final class PassTimer implements AutoCloseable {
  private final Context context;
  private final MaskPredictor predictor;
  private DeviceMemory canvas;
  private Graph graph;
  private Runnable pass;

  /// Loads the model of `folder` for passes over `ids` that end in `rows` rows of logits. The
  /// caller closes the context, after this.
  public PassTimer(Context context, Path folder, DType dtype, int[] ids, int rows) {
    this.context = context;
    predictor =
        MaskPredictor.load(
            context,
            folder,
            dtype,
            new WorkspaceLimits(ids.length, rows, 1),
            ProgressListener.NONE);
    context.run(() -> {
      canvas = PackedForward.canvas(context, predictor);
      Batch batch = predictor.prepare(PackedForward.shape(rows, ids.length), canvas.buffer());
      int[] last = IntStream.range(ids.length - rows, ids.length).toArray();
      PackedForward.fill(context, predictor, canvas.buffer(), batch, List.of(ids), last);
      Stream stream = predictor.stream();
      batch.forward();
      stream.synchronize();
      graph = stream.capture(batch::forward);
      pass =
          () -> {
            graph.launch(stream);
            stream.synchronize();
          };
    });
  }

  /// Runs a pass and waits for its end.
  public void run() {
    context.run(pass);
  }

  @Override
  public void close() {
    context.run(() -> {
      graph.close();
      canvas.close();
    });
    predictor.close();
  }
}
