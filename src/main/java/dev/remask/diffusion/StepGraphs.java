package dev.remask.diffusion;

import dev.remask.kernel.SpecialTokens;
import dev.remask.model.Batch;
import dev.remask.model.MaskPredictor;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Captured steps by the shape of their batch. A step's launches hold sizes and addresses only, and
/// all addresses are fixed at load, so batches of one shape share a graph whatever their prompts
/// and options; the least recently used graph goes when there are too many.
///
/// Device thread only.
final class StepGraphs implements AutoCloseable {
  /// Graphs of LLaDA-8B's size hold some 320 nodes, well under a megabyte: the bound is there so
  /// that ever new prompt lengths cannot grow memory without end.
  private static final int BOUND = 16;

  /// What fixes a step's launches.
  private record Shape(List<Integer> lengths, int sequences, int rows, int logitsRows) {
    static Shape of(Packing packing) {
      return new Shape(
          Arrays.stream(packing.lengths).boxed().toList(),
          packing.slots.size(),
          packing.rows,
          packing.logitsRows);
    }
  }

  private final MaskPredictor predictor;
  private final DenoiserMemory memory;
  private final SpecialTokens tokens;
  private final Map<Shape, CapturedStep> steps = new LinkedHashMap<>(BOUND, 0.75f, true);

  StepGraphs(MaskPredictor predictor, DenoiserMemory memory, SpecialTokens tokens) {
    this.predictor = predictor;
    this.memory = memory;
    this.tokens = tokens;
  }

  /// One step of the batch, captured while it runs if its shape is new.
  CapturedStep get(Packing packing, Batch batch) {
    Shape shape = Shape.of(packing);
    CapturedStep step = steps.get(shape);
    if (step == null) {
      if (steps.size() == BOUND) {
        Iterator<CapturedStep> oldest = steps.values().iterator();
        CapturedStep evicted = oldest.next();
        oldest.remove();
        evicted.close();
      }
      step = new CapturedStep();
      steps.put(shape, step);
    }
    step.enqueueBy(() -> enqueueStep(packing, batch));
    return step;
  }

  private void enqueueStep(Packing packing, Batch batch) {
    batch.forward();
    StepTail.enqueue(
        predictor.stream(),
        predictor.operations(),
        memory,
        StepBuffers.of(batch),
        packing,
        predictor.config().embeddingSize(),
        tokens);
  }

  @Override
  public void close() {
    steps.values().forEach(CapturedStep::close);
    steps.clear();
  }
}
