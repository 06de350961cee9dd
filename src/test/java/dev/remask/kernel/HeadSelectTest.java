package dev.remask.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.MatmulType;
import dev.remask.kernel.DiffusionState.Row;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/// The fused kernel against the product and the selection that it stands for. The device has it
/// where it has packed weights; the native tests cover every set of host kernels.
class HeadSelectTest {
  private record Choices(int[] candidates, float[] keys) {}

  /// A pass's rows, their sequences, the rows of activations and the head.
  private static final class Case {
    final KernelBench bench;
    final int columns;
    final int inputs;
    final SpecialTokens tokens;
    final List<SelectionState.Slot> slots = new ArrayList<>();
    final List<Row> rows = new ArrayList<>();
    final int copies;
    final DeviceBuffer sequenceTable;
    final DeviceBuffer rowTable;
    final DeviceBuffer hidden;
    final Weight head;

    Case(KernelBench bench, Seed seed, int columns, int inputs, int sequences) {
      this.bench = bench;
      this.columns = columns;
      this.inputs = inputs;
      tokens = new SpecialTokens(columns - columns / 50, 3, 0, columns / 2);
      var random = seed.random();
      var guided = new ArrayList<Boolean>();
      for (int i = 0; i < sequences; i++) {
        var slot = new SelectionState.Slot();
        slot.rule = RemaskingRule.values()[i % 4];
        slot.temperature = i / 4 % 2 == 0 ? 0 : 0.9f;
        slot.flags = random.nextInt(4);
        slot.seed = random.nextLong();
        slot.guidance = 2.5f;
        slots.add(slot);
        boolean copied = random.nextInt(3) == 0;
        guided.addAll(Collections.nCopies(random.nextInt(1, 9), copied));
        while (rows.size() < guided.size()) {
          int kind = random.nextInt(3) == 0 ? DiffusionState.NOTHING : DiffusionState.CHOOSE;
          rows.add(new Row(i, 5 + rows.size(), 2, kind, -1, -1, rows.size()));
        }
      }
      // Copies' rows stand behind all others.
      int all = rows.size();
      for (int i = 0; i < rows.size(); i++) {
        if (guided.get(i)) {
          Row row = rows.get(i);
          rows.set(i, new Row(row.sequence(), row.position(), 2, row.kind(), all++, -1, i));
        }
      }
      copies = all - rows.size();
      sequenceTable = SelectionState.sequences(bench, slots.toArray(SelectionState.Slot[]::new));
      rowTable = SelectionState.rows(bench, rows.toArray(Row[]::new));
      hidden = bench.floats(bench.dtype, seed.normals((rows.size() + copies) * inputs, 1)).buffer();
      float deviation = (float) (3 / Math.sqrt(inputs));
      var values = bench.floats(bench.dtype, seed.normals(columns * inputs, deviation)).buffer();
      head =
          bench
              .operations
              .gemm()
              .pack(bench.stream, Weight.rows(values, columns, inputs), bench.dtype);
    }

    Choices fused() {
      return choose((partials, candidates, keys) ->
          bench
              .operations
              .headSelect()
              .orElseThrow()
              .launch(
                  bench.stream,
                  new HeadSelect.Buffers(
                      hidden, head, rowTable, sequenceTable, partials, candidates, keys),
                  rows.size(),
                  tokens));
    }

    Choices separate() {
      int all = rows.size() + copies;
      DeviceBuffer logits = bench.poison(DType.F32, all * columns).buffer();
      MatmulType type = bench.dtype == DType.F32 ? MatmulType.F32_F32 : MatmulType.BF16_F32;
      try (Gemm.Plan plan =
          bench.operations.gemm().plan(type, all, columns, inputs, head.layout())) {
        plan.launch(bench.stream, logits, hidden, head);
      }
      return choose((partials, candidates, keys) ->
          bench
              .operations
              .maskedSelect()
              .launch(
                  bench.stream,
                  new MaskedSelect.Buffers(
                      logits, rowTable, sequenceTable, null, partials, candidates, keys),
                  rows.size(),
                  columns,
                  tokens));
    }

    private interface Launcher {
      void launch(DeviceBuffer partials, DeviceBuffer candidates, DeviceBuffer keys);
    }

    private Choices choose(Launcher launcher) {
      long bytes = MaskedSelect.partialBytes(rows.size(), columns);
      var partials = bench.poison(DType.F32, (int) (bytes / Float.BYTES));
      var candidates = bench.ints(new int[rows.size()]);
      var keys = bench.poison(DType.F32, rows.size());
      launcher.launch(partials.buffer(), candidates.buffer(), keys.buffer());
      var choices = new Choices(candidates.read(), keys.read());
      partials.read(); // its guards
      return choices;
    }
  }

  private static void onHost(Consumer<KernelBench> body) {
    KernelBench.onBoth(
        TestDevices.software(),
        bench -> {
          assertEquals(
              bench.operations.gemm().packs(bench.dtype),
              bench.operations.headSelect().isPresent(),
              "where weights are packed");
          if (bench.operations.headSelect().isPresent()) {
            body.accept(bench);
          }
        });
  }

  @Test
  void fused_givesTheBitsOfProductAndSelection() {
    Seed seed = Seed.fresh();
    onHost(bench -> {
      int[][] sizes = {{512, 64, 3}, {3001, 96, 16}, {1025, 33, 40}, {150, 7, 8}, {5000, 256, 1}};
      for (int[] size : sizes) {
        var test = new Case(bench, seed, size[0], size[1], size[2]);
        Choices expected = test.separate();
        Choices actual = test.fused();
        String what = bench.dtype + ", " + size[0] + " columns, " + seed;
        assertArrayEquals(expected.candidates, actual.candidates, what);
        assertArrayEquals(expected.keys, actual.keys, what);
        for (int i = 0; i < test.rows.size(); i++) {
          boolean chosen = test.rows.get(i).kind() == DiffusionState.CHOOSE;
          assertEquals(chosen, actual.candidates[i] >= 0, what + ", row " + i);
        }
      }
    });
  }

  @Test
  void launch_refusesWhatTheKernelCannotRead() {
    Seed seed = Seed.fresh();
    onHost(bench -> {
      var test = new Case(bench, seed, 200, 16, 2);
      HeadSelect select = bench.operations.headSelect().orElseThrow();
      int rows = test.rows.size();
      DeviceBuffer partials =
          bench.poison(DType.F32, (int) MaskedSelect.partialBytes(rows, 200) / 4).buffer();
      DeviceBuffer candidates = bench.ints(new int[rows]).buffer();
      DeviceBuffer keys = bench.poison(DType.F32, rows).buffer();
      var good =
          new HeadSelect.Buffers(
              test.hidden,
              test.head,
              test.rowTable,
              test.sequenceTable,
              partials,
              candidates,
              keys);
      select.launch(bench.stream, good, rows, test.tokens);
      var unpacked =
          new HeadSelect.Buffers(
              test.hidden,
              Weight.rows(test.head.values(), 200, 16),
              test.rowTable,
              test.sequenceTable,
              partials,
              candidates,
              keys);
      assertRefused(
          "layout is ROWS", () -> select.launch(bench.stream, unpacked, rows, test.tokens));
      int more = (int) (test.hidden.bytes() / bench.dtype.bytes() / 16) + 1;
      assertRefused("hidden", () -> select.launch(bench.stream, good, more, test.tokens));
      assertRefused("rows is 0", () -> select.launch(bench.stream, good, 0, test.tokens));
      assertRefused("slices of 24", () -> select.launch(bench.stream, good, rows, test.tokens, 24));
      var wide = new SpecialTokens(201, 3, 0, 1);
      assertRefused("vocabulary", () -> select.launch(bench.stream, good, rows, wide));
      var few =
          new HeadSelect.Buffers(
              test.hidden,
              test.head,
              test.rowTable,
              test.sequenceTable,
              partials.slice(0, 16),
              candidates,
              keys);
      assertRefused("partials", () -> select.launch(bench.stream, few, rows, test.tokens));
    });
  }

  private static void assertRefused(String what, Runnable launch) {
    var refusal = assertThrows(IllegalArgumentException.class, launch::run);
    assertTrue(refusal.getMessage().contains(what), refusal.getMessage());
  }
}
