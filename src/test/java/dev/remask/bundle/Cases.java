package dev.remask.bundle;

import dev.remask.bundle.Benchmarks.Case;
import dev.remask.bundle.Benchmarks.Prepared;
import dev.remask.bundle.Benchmarks.Way;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.MatmulType;
import dev.remask.kernel.Architecture;
import dev.remask.kernel.Attention;
import dev.remask.kernel.DiffusionState;
import dev.remask.kernel.Gemm;
import dev.remask.kernel.MaskedSelect;
import dev.remask.kernel.Operations;
import dev.remask.kernel.Rope;
import dev.remask.kernel.SpecialTokens;
import dev.remask.kernel.Weight;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.function.Supplier;
import tools.jackson.databind.node.ObjectNode;

/// What is timed: every operation of a step, at the shapes that a model of the given sizes has.
final class Cases {
  private static final String GEMM_SETTING = "remask.gemm";
  private static final String MANY_ROWS_SETTING = "remask.gemm.kernel";
  private static final String ATTENTION_SETTING = "remask.attention";
  private static final int BF16 = Short.BYTES;

  /// The scores of portable attention and GEMM are minutes away from those of the others.
  private static final int PORTABLE_TOKENS = 1024;

  private final Sizes sizes;
  private final List<Architecture> families;
  private final List<Case> cases = new ArrayList<>();

  private Cases(Sizes sizes, List<Architecture> families) {
    this.sizes = sizes;
    this.families = families;
  }

  static List<Case> all(Sizes sizes, List<Architecture> families) {
    var all = new Cases(sizes, families);
    all.device();
    all.attention();
    all.gemm();
    all.select();
    all.rows();
    return all.cases;
  }

  /// What the other figures' floors come from: copy bandwidth, and the best matrix product.
  private void device() {
    long bytes = sizes.copyBytes();
    add(
        "device-copy",
        new Way(
            "copy",
            bench -> {
              DeviceBuffer to = bench.empty(bytes);
              DeviceBuffer from = bench.bf16(bytes / BF16);
              ObjectNode torch = request("copy").put("bytes", bytes);
              return new Prepared(() -> bench.stream.copy(to, from, bytes), 0, 2.0 * bytes, torch);
            }));
    gemm("device-peak", sizes.square(), sizes.square(), sizes.square());
    add("device-event", new Way("nothing", bench -> new Prepared(() -> {}, 0, 0, null)));
  }

  private void attention() {
    for (int length : sizes.attentionLengths()) {
      attention("attention-" + length, sizes.attentionTokens() / length, length, length);
    }
    for (int context : sizes.contextLengths()) {
      int block = Math.min(32, context);
      attention("attention-short-" + block + "x" + context, 1, block, context);
    }
  }

  private void attention(String name, int sequences, int queries, int keys) {
    var ways = new ArrayList<Way>();
    for (Architecture family : families) {
      if (family != Architecture.PORTABLE || (long) sequences * keys <= PORTABLE_TOKENS) {
        ways.add(
            new Way(
                family.toString(),
                bench -> attention(bench, bench.operations(family), sequences, queries, keys)));
      }
    }
    if (families.contains(Architecture.SM90A)) {
      ways.add(
          new Way(
              "sm_90a simple",
              bench -> {
                var simple =
                    with(ATTENTION_SETTING, "simple", () -> bench.operations(Architecture.SM90A));
                return attention(bench, simple, sequences, queries, keys);
              }));
    }
    cases.add(new Case(name, ways));
  }

  private Prepared attention(
      Bench bench, Operations operations, int sequences, int queries, int keys) {
    int width = sizes.heads() * sizes.headDim();
    long q = (long) sequences * queries;
    long k = (long) sequences * keys;
    Attention attention = operations.attention();
    var queryLengths = new int[sequences];
    Arrays.fill(queryLengths, queries);
    var keyLengths = new int[sequences];
    Arrays.fill(keyLengths, keys);
    var work = attention.work(queryLengths, keyLengths);
    long scratch = Attention.scratchBytes(work.partialRows(), sizes.heads(), sizes.headDim());
    var buffers =
        new Attention.Buffers(
            bench.empty(q * width * BF16),
            bench.bf16(q * width),
            bench.bf16(k * width),
            bench.bf16(k * width),
            bench.ints(offsets(sequences, queries)),
            bench.ints(offsets(sequences, keys)),
            work.intCount() == 0 ? null : bench.ints(work.ints()),
            scratch == 0 ? null : bench.empty(scratch),
            null);
    var shape =
        new Attention.Shape(
            sequences,
            queries,
            (int) q,
            (int) k,
            sizes.heads(),
            sizes.heads(),
            sizes.headDim(),
            width,
            width,
            width);
    ObjectNode torch = request("attention").put("sequences", sequences).put("queries", queries);
    torch.put("keys", keys).put("heads", sizes.heads()).put("head_dim", sizes.headDim());
    return new Prepared(
        () -> attention.launch(bench.stream, buffers, shape, work),
        4.0 * q * keys * width,
        2.0 * BF16 * width * (q + k),
        torch);
  }

  private static int[] offsets(int sequences, int length) {
    var offsets = new int[sequences + 1];
    for (int i = 0; i <= sequences; i++) {
      offsets[i] = i * length;
    }
    return offsets;
  }

  /// The products of a layer and of the LM head. Weights: QKV, output, gate and up, down.
  private void gemm() {
    int d = sizes.width();
    int ff = sizes.feedForward();
    for (int rows : sizes.fewRows()) {
      gemm("gemm-qkv-" + rows, rows, 3 * d, d);
      gemm("gemm-out-" + rows, rows, d, d);
      gemm("gemm-gate-up-" + rows, rows, 2 * ff, d);
      gemm("gemm-down-" + rows, rows, d, ff);
    }
    for (int rows : sizes.manyRows()) {
      gemm("gemm-qkv-" + rows, rows, 3 * d, d);
      gemm("gemm-down-" + rows, rows, d, ff);
    }
    gemm("gemm-head-32", 32, sizes.vocabulary(), d);
  }

  private void gemm(String name, int m, int n, int k) {
    var ways = new ArrayList<Way>();
    for (Architecture family : families) {
      if (family != Architecture.PORTABLE || m <= PORTABLE_TOKENS / 8) {
        ways.add(new Way("own " + family, bench -> gemm(bench, family, "own", m, n, k)));
      }
    }
    ways.add(new Way("cuBLASLt", bench -> gemm(bench, families.getLast(), "cublaslt", m, n, k)));
    cases.add(new Case(name, ways));
  }

  private static Prepared gemm(
      Bench bench, Architecture family, String setting, int m, int n, int k) {
    Operations operations;
    try {
      // Of own kernels, `own` alone would take those of sm_80 for any number of rows.
      String manyRows = family == Architecture.SM90A ? "sm_90a" : "auto";
      operations =
          with(
              GEMM_SETTING,
              setting,
              () -> with(MANY_ROWS_SETTING, manyRows, () -> bench.operations(family)));
    } catch (IllegalStateException e) {
      return null; // no cuBLASLt here
    }
    Gemm.Plan plan = bench.own(operations.gemm().plan(MatmulType.BF16_BF16, m, n, k));
    DeviceBuffer out = bench.empty((long) m * n * BF16);
    DeviceBuffer a = bench.bf16((long) m * k);
    Weight w = Weight.rows(bench.bf16((long) n * k), n, k);
    return new Prepared(
        () -> plan.launch(bench.stream, out, a, w),
        2.0 * m * n * k,
        (double) BF16 * ((double) m * k + (double) n * k + (double) m * n),
        request("matmul").put("m", m).put("n", n).put("k", k));
  }

  private void select() {
    int columns = sizes.vocabulary();
    for (int rows : sizes.selectRows()) {
      add("select-" + rows, defaultWay(bench -> select(bench, rows, columns)));
    }
  }

  private Prepared select(Bench bench, int rows, int columns) {
    MaskedSelect select = operations(bench).maskedSelect();
    int mask = columns - 1;
    var table = new DiffusionState.Row[rows];
    for (int row = 0; row < rows; row++) {
      table[row] = new DiffusionState.Row(0, row, 0, DiffusionState.CHOOSE, -1, -1, row);
    }
    var buffers =
        new MaskedSelect.Buffers(
            bench.f32((long) rows * columns),
            bench.rows(table),
            bench.sequence(),
            null,
            bench.empty(MaskedSelect.partialBytes(rows, columns)),
            bench.empty((long) rows * Integer.BYTES),
            bench.empty((long) rows * Float.BYTES));
    var tokens = new SpecialTokens(columns, mask, -1, -1);
    return new Prepared(
        () -> select.launch(bench.stream, buffers, rows, columns, tokens),
        0,
        (double) Float.BYTES * rows * columns,
        request("select").put("rows", rows).put("columns", columns));
  }

  /// Norm, position and gate, which move rows of activations.
  private void rows() {
    int width = sizes.width();
    for (int rows : sizes.manyRows()) {
      long elements = (long) rows * width;
      add(
          "rmsnorm-" + rows,
          defaultWay(bench -> {
            var norm = operations(bench).rmsNorm();
            DeviceBuffer out = bench.empty(elements * BF16);
            DeviceBuffer residual = bench.f32(elements);
            DeviceBuffer delta = bench.bf16(elements);
            DeviceBuffer weight = bench.bf16(width);
            return new Prepared(
                () -> norm.launch(bench.stream, out, residual, delta, weight, rows, width, 1e-5f),
                0,
                elements * (2.0 * Float.BYTES + 2 * BF16),
                request("rmsnorm").put("rows", rows).put("width", width));
          }));
      add("rope-" + rows, defaultWay(bench -> rope(bench, rows)));
      long gated = (long) rows * sizes.feedForward();
      add(
          "swiglu-" + rows,
          defaultWay(bench -> {
            var swiGlu = operations(bench).swiGlu();
            DeviceBuffer out = bench.empty(gated * BF16);
            DeviceBuffer gateUp = bench.bf16(2 * gated);
            return new Prepared(
                () -> swiGlu.launch(bench.stream, out, gateUp, rows, sizes.feedForward()),
                0,
                3.0 * gated * BF16,
                request("swiglu").put("rows", rows).put("width", sizes.feedForward()));
          }));
    }
  }

  private Prepared rope(Bench bench, int rows) {
    Rope rope = operations(bench).rope();
    int rotated = 2 * sizes.heads();
    int stride = 3 * sizes.heads() * sizes.headDim();
    DeviceBuffer qkv = bench.bf16((long) rows * stride);
    DeviceBuffer angles = bench.f32((long) rows * sizes.headDim());
    var positions = new int[rows];
    Arrays.setAll(positions, i -> i);
    DeviceBuffer positionsOnDevice = bench.ints(positions);
    var shape = new Rope.Shape(stride, rotated, sizes.headDim());
    ObjectNode torch = request("rope").put("rows", rows).put("heads", rotated);
    return new Prepared(
        () -> rope.launch(bench.stream, qkv, angles, positionsOnDevice, rows, shape),
        0,
        2.0 * BF16 * rows * rotated * sizes.headDim(),
        torch.put("head_dim", sizes.headDim()));
  }

  /// Operations without variants by family run with those of the newest.
  private Operations operations(Bench bench) {
    return bench.operations(families.getLast());
  }

  /// Loads with a setting, which kernels are chosen by when they are loaded.
  private static Operations with(String setting, String value, Supplier<Operations> load) {
    String before = System.getProperty(setting);
    System.setProperty(setting, value);
    try {
      return load.get();
    } finally {
      if (before == null) {
        System.clearProperty(setting);
      } else {
        System.setProperty(setting, before);
      }
    }
  }

  private static Way defaultWay(Function<Bench, Prepared> prepare) {
    return new Way("own", prepare);
  }

  private void add(String name, Way way) {
    cases.add(new Case(name, List.of(way)));
  }

  private static ObjectNode request(String operation) {
    return Results.object().put("operation", operation);
  }
}
