package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.remask.kernel.DiffusionState.CommitRecord;
import dev.remask.kernel.DiffusionState.Member;
import dev.remask.kernel.DiffusionState.PlanEntry;
import dev.remask.kernel.DiffusionState.Progress;
import dev.remask.kernel.DiffusionState.Row;
import dev.remask.kernel.DiffusionState.Sequence;
import dev.remask.testing.SlotModel;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntFunction;
import java.util.function.ObjIntConsumer;

/// Slots on a device and the same slots in [SlotModel]: each step runs on both, and everything that
/// the kernels may write is compared.
final class StepCase {
  static final SpecialTokens TOKENS = new SpecialTokens(500, 9, 7, 8);
  static final int MASK = TOKENS.mask();
  static final int EOS = TOKENS.eos();

  /// In every place that no step has written.
  private static final int UNTOUCHED = -12345;

  private final KernelBench bench;
  private final String what;
  private final List<SlotModel> slots = new ArrayList<>();
  private final int[] canvas;
  private final int totalRows;
  private final int[] expectedLog;
  private final int[] expectedHeads;
  private final KernelBench.Ints deviceCanvas;
  private final KernelBench.Ints deviceMasks;
  private final KernelBench.Ints devicePlan;
  private final KernelBench.Ints deviceSequences;
  private final KernelBench.Ints deviceProgress;
  private final KernelBench.Ints deviceLog;
  private final KernelBench.Ints deviceHeads;
  private final KernelBench.Ints deviceMembers;
  private final KernelBench.Ints deviceRows;
  private final KernelBench.Ints deviceRowIndex;
  private final KernelBench.Ints deviceKeys;
  private final KernelBench.Ints deviceCandidates;

  /// Gives a row of a step its candidate and key.
  interface Judge {
    int candidate(Row row);

    float key(Row row);
  }

  /// @param what for messages
  /// @param rows of logits that a pass may have, copies' included
  /// @param logRecords the log's length
  StepCase(
      KernelBench bench,
      String what,
      int[] canvas,
      int[] maskPositions,
      PlanEntry[] plan,
      Sequence[] sequences,
      Progress[] progress,
      int rows,
      int logRecords) {
    this.bench = bench;
    this.what = what;
    this.canvas = canvas.clone();
    totalRows = rows;
    for (int i = 0; i < sequences.length; i++) {
      slots.add(
          new SlotModel(i, sequences[i], progress[i], this.canvas, maskPositions, plan, TOKENS));
    }
    expectedLog = filled(Math.max(1, logRecords) * words(DiffusionState.COMMIT_RECORD_BYTES));
    expectedHeads = filled(sequences.length);
    deviceCanvas = bench.ints(canvas);
    deviceMasks = bench.ints(maskPositions);
    devicePlan =
        bench.ints(
            packed(
                plan.length,
                DiffusionState.PLAN_ENTRY_BYTES,
                (at, i) -> DiffusionState.write(at, 0, plan[i])));
    deviceSequences = bench.ints(new int[sequences.length * words(DiffusionState.SEQUENCE_BYTES)]);
    deviceProgress = bench.ints(new int[sequences.length * words(DiffusionState.PROGRESS_BYTES)]);
    deviceLog = bench.ints(expectedLog);
    deviceHeads = bench.ints(expectedHeads);
    deviceMembers = bench.ints(new int[sequences.length * words(DiffusionState.MEMBER_BYTES)]);
    deviceRows = bench.ints(new int[rows * words(DiffusionState.ROW_BYTES)]);
    deviceRowIndex = bench.ints(new int[rows]);
    deviceKeys = bench.ints(new int[rows]);
    deviceCandidates = bench.ints(new int[rows]);
    upload();
  }

  SlotModel slot(int index) {
    return slots.get(index);
  }

  int canvas(int index) {
    return canvas[index];
  }

  /// The host's turn: replaces a slot's sequence and progress.
  void change(int slot, Sequence sequence, Progress progress) {
    slots.get(slot).change(sequence, progress);
    upload();
  }

  private void upload() {
    deviceSequences.write(
        packed(
            slots.size(),
            DiffusionState.SEQUENCE_BYTES,
            (at, i) -> DiffusionState.write(at, 0, slots.get(i).sequence())));
    deviceProgress.write(
        packed(
            slots.size(),
            DiffusionState.PROGRESS_BYTES,
            (at, i) -> DiffusionState.write(at, 0, slots.get(i).progress())));
  }

  /// A step of these members; fails where a kernel and the model differ.
  void step(List<Member> members, Judge judge) {
    deviceMembers.write(
        packed(
            slots.size(),
            DiffusionState.MEMBER_BYTES,
            (at, i) -> DiffusionState.write(at, 0, members.get(Math.min(i, members.size() - 1)))));
    Row[] rows = lay(members);
    var keys = new int[totalRows];
    var keyValues = new float[totalRows];
    var candidates = new int[totalRows];
    for (int i = 0; i < totalRows; i++) {
      boolean exists = rows[i] != null;
      candidates[i] = exists ? judge.candidate(rows[i]) : UNTOUCHED;
      keyValues[i] = exists ? judge.key(rows[i]) : 0;
      keys[i] = Float.floatToRawIntBits(keyValues[i]);
    }
    deviceKeys.write(keys);
    deviceCandidates.write(candidates);
    bench
        .operations
        .commit()
        .launch(
            bench.stream,
            new Commit.Buffers(
                deviceCanvas.buffer(),
                deviceProgress.buffer(),
                deviceLog.buffer(),
                deviceHeads.buffer(),
                deviceKeys.buffer(),
                deviceCandidates.buffer(),
                deviceRows.buffer(),
                deviceSequences.buffer(),
                devicePlan.buffer(),
                deviceMasks.buffer(),
                deviceMembers.buffer()),
            members.size(),
            TOKENS);
    for (Member member : members) {
      SlotModel slot = slots.get(member.sequence());
      int passes = slot.progress().passes();
      slot.commit(member, candidates, keyValues);
      if (slot.sequence().has(DiffusionState.LOG)) {
        expectLog(member.sequence(), passes != slot.progress().passes());
      }
    }
    ByteBuffer progress = bytes(deviceProgress.read());
    for (int i = 0; i < slots.size(); i++) {
      assertEquals(
          slots.get(i).progress(),
          DiffusionState.readProgress(progress, i * DiffusionState.PROGRESS_BYTES),
          what + ": progress of slot " + i + ", " + slots.get(i).sequence());
    }
    assertArrayEquals(canvas, deviceCanvas.read(), what + ": canvas");
    assertArrayEquals(expectedLog, deviceLog.read(), what + ": log");
    assertArrayEquals(expectedHeads, deviceHeads.read(), what + ": log heads");
  }

  private void expectLog(int slot, boolean ran) {
    Sequence sequence = slots.get(slot).sequence();
    List<CommitRecord> log = slots.get(slot).log();
    int words = words(DiffusionState.COMMIT_RECORD_BYTES);
    for (int i = 0; i < log.size(); i++) {
      CommitRecord record = log.get(i);
      int at = (sequence.logBegin() + i) * words;
      expectedLog[at] = record.step();
      expectedLog[at + 1] = record.position();
      expectedLog[at + 2] = record.token();
      expectedLog[at + 3] = Float.floatToRawIntBits(record.confidence());
    }
    // A pass that committed publishes the count, be it the old one.
    var status = slots.get(slot).progress().status();
    if (ran && status != SequenceStatus.STUCK && status != SequenceStatus.WANTS_LENGTH) {
      expectedHeads[slot] = log.size();
    }
  }

  /// Lays the rows and returns them, null where there is none.
  private Row[] lay(List<Member> members) {
    deviceRows.write(filled(totalRows * words(DiffusionState.ROW_BYTES)));
    deviceRowIndex.write(filled(totalRows));
    bench
        .operations
        .layRows()
        .launch(
            bench.stream,
            new LayRows.Buffers(
                deviceRows.buffer(),
                deviceRowIndex.buffer(),
                deviceSequences.buffer(),
                deviceProgress.buffer(),
                devicePlan.buffer(),
                deviceMasks.buffer(),
                deviceCanvas.buffer(),
                deviceMembers.buffer()),
            members.size(),
            MASK);
    var rows = new Row[totalRows];
    int[] rowIndex = filled(totalRows);
    for (Member member : members) {
      SlotModel slot = slots.get(member.sequence());
      List<Row> laid = slot.rows(member);
      for (int i = 0; i < laid.size(); i++) {
        rows[member.rowBegin() + i] = laid.get(i);
        rowIndex[member.rowBegin() + i] = SlotModel.query(member, laid.get(i), false);
        if (slot.sequence().guided()) {
          rowIndex[member.unconditionalRowBegin() + i] = SlotModel.query(member, laid.get(i), true);
        }
      }
    }
    ByteBuffer all = bytes(deviceRows.read());
    for (int i = 0; i < totalRows; i++) {
      int at = i * DiffusionState.ROW_BYTES;
      if (rows[i] == null) {
        assertEquals(UNTOUCHED, all.getInt(at), what + ": row " + i);
      } else {
        assertEquals(rows[i], DiffusionState.readRow(all, at), what + ": row " + i);
      }
    }
    assertArrayEquals(rowIndex, deviceRowIndex.read(), what + ": row indices");
    return rows;
  }

  private static int words(int bytes) {
    return bytes / Integer.BYTES;
  }

  private static int[] filled(int count) {
    var values = new int[count];
    Arrays.fill(values, UNTOUCHED);
    return values;
  }

  private static ByteBuffer bytes(int[] words) {
    ByteBuffer bytes =
        ByteBuffer.allocate(words.length * Integer.BYTES).order(ByteOrder.nativeOrder());
    bytes.asIntBuffer().put(words);
    return bytes;
  }

  /// Records of `bytes` bytes each as the device has them.
  private static int[] packed(int count, int bytes, ObjIntConsumer<ByteBuffer> write) {
    ByteBuffer all = ByteBuffer.allocate(count * bytes).order(ByteOrder.nativeOrder());
    IntFunction<ByteBuffer> slice = i -> all.slice(i * bytes, bytes).order(ByteOrder.nativeOrder());
    for (int i = 0; i < count; i++) {
      write.accept(slice.apply(i), i);
    }
    var words = new int[words(all.capacity())];
    all.asIntBuffer().get(words);
    return words;
  }
}
