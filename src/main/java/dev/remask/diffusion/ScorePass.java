package dev.remask.diffusion;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.Stream;
import dev.remask.kernel.CommitRule;
import dev.remask.kernel.DiffusionState;
import dev.remask.kernel.RemaskingRule;
import dev.remask.kernel.SpecialTokens;
import dev.remask.kernel.TargetOdds;
import dev.remask.model.Batch;
import dev.remask.model.MaskPredictor;
import dev.remask.model.ModelException;
import dev.remask.model.PassSequence;
import dev.remask.model.PassShape;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.List;

/// One forward pass over packed masked answers, and the losses of their wanted positions. Rows of
/// logits: those of the answers first, in order, then the same of the copies of guided ones. Device
/// thread only.
final class ScorePass {
  private final MaskPredictor predictor;
  private final ScoreMemory memory;
  private final SpecialTokens tokens;
  private final List<MaskedAnswer> answers;
  private final List<ScorePacking.Part> parts;
  private final int[] canvasBegins;
  private final int[] copyIndices;
  private final int tokenCount;
  private final int wantedRows;
  private final PassShape shape;

  ScorePass(
      MaskPredictor predictor,
      ScoreMemory memory,
      SpecialTokens tokens,
      List<MaskedAnswer> answers,
      List<ScorePacking.Part> parts) {
    this.predictor = predictor;
    this.memory = memory;
    this.tokens = tokens;
    this.answers = answers;
    this.parts = parts;
    canvasBegins = new int[parts.size()];
    copyIndices = new int[parts.size()];
    var sequences = new ArrayList<PassSequence>();
    int begin = 0;
    int wanted = 0;
    int copied = 0;
    for (int i = 0; i < parts.size(); i++) {
      MaskedAnswer answer = answer(i);
      canvasBegins[i] = begin;
      sequences.add(PassSequence.whole(begin, answer.length()));
      begin += answer.copies() * answer.length();
      wanted += parts.get(i).count();
    }
    for (int i = 0; i < parts.size(); i++) {
      MaskedAnswer answer = answer(i);
      if (answer.copies() == 2) {
        copyIndices[i] = sequences.size();
        sequences.add(PassSequence.whole(canvasBegins[i] + answer.length(), answer.length()));
        copied += parts.get(i).count();
      }
    }
    tokenCount = begin;
    wantedRows = wanted;
    shape = PassShape.of(sequences, wanted + copied);
  }

  /// Runs it and puts the losses where they belong; waits for the device.
  void run(Stream stream, List<double[]> losses) {
    Batch batch = predictor.prepare(shape, memory.canvas);
    upload(stream, batch.rowIndex());
    batch.forward();
    DeviceBuffer keys = memory.keys;
    var buffers =
        new TargetOdds.Buffers(
            batch.logits(), memory.rows, memory.sequences, keys, memory.candidates);
    int columns = predictor.config().embeddingSize();
    predictor.operations().targetOdds().launch(stream, buffers, wantedRows, columns, tokens);
    stream.copyToHost(memory.staging, 0, keys, (long) Float.BYTES * wantedRows);
    stream.synchronize();
    float[] odds = new float[wantedRows];
    memory.staging.buffer(0, Float.BYTES * wantedRows).asFloatBuffer().get(odds);
    int row = 0;
    int copyRow = wantedRows;
    for (int i = 0; i < parts.size(); i++) {
      ScorePacking.Part part = parts.get(i);
      boolean guided = answer(i).copies() == 2;
      for (int k = 0; k < part.count(); k++) {
        losses.get(part.answer())[part.first() + k] =
            odds[row] >= Float.MAX_VALUE
                ? exactLoss(stream, batch.logits(), i, k, row, guided ? copyRow : -1)
                : Math.log1p(odds[row]);
        row++;
        copyRow += guided ? 1 : 0;
      }
    }
  }

  /// Table by table into the staging memory, each where the device memory has it.
  private void upload(Stream stream, DeviceBuffer rowIndex) {
    long sequencesAt = ScoreMemory.aligned(memory.canvas.bytes());
    long rowsAt = sequencesAt + ScoreMemory.aligned(memory.sequences.bytes());
    long indexAt = rowsAt + ScoreMemory.aligned(memory.rows.bytes());
    IntBuffer canvas = memory.staging.buffer(0, Integer.BYTES * tokenCount).asIntBuffer();
    ByteBuffer index = memory.staging.buffer(indexAt, (int) rowIndex.bytes());
    int row = 0;
    int copyRow = wantedRows;
    for (int i = 0; i < parts.size(); i++) {
      ScorePacking.Part part = parts.get(i);
      MaskedAnswer answer = answer(i);
      boolean guided = answer.copies() == 2;
      put(canvas, answer, false);
      if (guided) {
        put(canvas, answer, true);
      }
      DiffusionState.write(
          memory.staging,
          sequencesAt + (long) i * DiffusionState.SEQUENCE_BYTES,
          sequence(canvasBegins[i], answer));
      for (int k = 0; k < part.count(); k++) {
        int masked = answer.masked()[part.first() + k];
        int position = answer.promptIds().length + masked;
        DiffusionState.write(
            memory.staging,
            rowsAt + (long) row * DiffusionState.ROW_BYTES,
            new DiffusionState.Row(
                i,
                position,
                0,
                DiffusionState.RECONSIDER,
                guided ? copyRow : -1,
                answer.answerIds()[masked],
                part.first() + k));
        index.putInt(Integer.BYTES * row, shape.queryBegin(i) + position);
        if (guided) {
          index.putInt(Integer.BYTES * copyRow, shape.queryBegin(copyIndices[i]) + position);
          copyRow++;
        }
        row++;
      }
    }
    // Rows of padding: any packed index will do.
    for (int at = Integer.BYTES * copyRow; at < rowIndex.bytes(); at += Integer.BYTES) {
      index.putInt(at, 0);
    }
    stream.copyToDevice(memory.canvas, memory.staging, 0, (long) Integer.BYTES * tokenCount);
    stream.copyToDevice(
        memory.sequences,
        memory.staging,
        sequencesAt,
        (long) parts.size() * DiffusionState.SEQUENCE_BYTES);
    stream.copyToDevice(
        memory.rows, memory.staging, rowsAt, (long) wantedRows * DiffusionState.ROW_BYTES);
    stream.copyToDevice(rowIndex, memory.staging, indexAt, rowIndex.bytes());
  }

  private void put(IntBuffer canvas, MaskedAnswer answer, boolean hidePrompt) {
    int begin = canvas.position();
    if (hidePrompt) {
      for (int i = 0; i < answer.promptIds().length; i++) {
        canvas.put(tokens.mask());
      }
    } else {
      canvas.put(answer.promptIds());
    }
    canvas.put(answer.answerIds());
    for (int masked : answer.masked()) {
      canvas.put(begin + answer.promptIds().length + masked, tokens.mask());
    }
  }

  /// Only guidance and flags matter here: nothing is chosen or committed.
  private static DiffusionState.Sequence sequence(int canvasBegin, MaskedAnswer answer) {
    return new DiffusionState.Sequence(
        canvasBegin,
        answer.copies() == 2 ? canvasBegin + answer.length() : DiffusionState.NO_GUIDANCE,
        answer.masked().length,
        1,
        canvasBegin,
        0,
        (float) (answer.cfgScale() + 1),
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
        0,
        0);
  }

  /// Odds beyond a float, at a loss above 88, and of a target without a logit: from the logits
  /// themselves, in double.
  private double exactLoss(
      Stream stream, DeviceBuffer logits, int index, int k, int row, int copyRow) {
    int columns = predictor.config().embeddingSize();
    long bytes = (long) Float.BYTES * columns;
    stream.copyToHost(memory.staging, 0, logits.slice(row * bytes, bytes), bytes);
    if (copyRow >= 0) {
      stream.copyToHost(memory.staging, bytes, logits.slice(copyRow * bytes, bytes), bytes);
    }
    stream.synchronize();
    FloatBuffer read = memory.staging.buffer(0, (int) (2 * bytes)).asFloatBuffer();
    double[] values = new double[columns];
    double largest = Double.NEGATIVE_INFINITY;
    double guidance = answer(index).cfgScale() + 1;
    for (int c = 0; c < columns; c++) {
      double value = read.get(c);
      if (copyRow >= 0) {
        double unconditional = read.get(columns + c);
        value = unconditional + guidance * (value - unconditional);
      }
      // As the kernel has it: what is no number is not there.
      values[c] = Double.isNaN(value) ? Double.NEGATIVE_INFINITY : value;
      largest = Math.max(largest, values[c]);
    }
    double sum = 0;
    for (double value : values) {
      sum += Math.exp(value - largest);
    }
    MaskedAnswer answer = answer(index);
    int target = answer.answerIds()[answer.masked()[parts.get(index).first() + k]];
    double loss = largest + Math.log(sum) - values[target];
    if (!Double.isFinite(loss)) {
      throw unusable();
    }
    return loss;
  }

  private static ModelException unusable() {
    return new ModelException("the model gives logits that are no numbers; nothing can be scored");
  }

  private MaskedAnswer answer(int part) {
    return answers.get(parts.get(part).answer());
  }
}
