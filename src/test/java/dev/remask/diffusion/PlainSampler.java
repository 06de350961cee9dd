package dev.remask.diffusion;

import dev.remask.kernel.SpecialTokens;
import dev.remask.testing.Philox;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/// The whole sampler in plain Java and double, written from its rules (facts in the docstrings of
/// [DiffusionOptions] and [Constraints]): one sequence, full rows of logits, plain loops.
final class PlainSampler {
  /// What came of a task.
  ///
  /// @param canvas as long as the answer became
  /// @param commits by step; token -1: masked again; positions are the canvas's
  /// @param passes steps that ran
  /// @param stopped whether an EOS ended it
  record Answer(int[] canvas, List<Commit> commits, int passes, boolean stopped) {}

  /// A row of the current block.
  private record Row(int mask, int position, boolean masked, int token, double key) {}

  private final SpecialTokens tokens;
  private final PlainModel model;
  private final DenoisingTask task;
  private final DiffusionOptions options;
  private final DenoisingPlan plan;
  private final int[] masks;
  private final int shift;
  private int[] canvas;
  private int[] copy;
  private int active;
  private int revisionsLeft;
  private final List<Commit> commits = new ArrayList<>();

  private PlainSampler(SpecialTokens tokens, PlainModel model, DenoisingTask task) {
    this.tokens = tokens;
    this.model = model;
    this.task = task;
    options = task.resolvedOptions();
    plan = task.plan();
    masks = task.maskPositions();
    canvas = task.canvas(tokens.mask());
    copy = task.unconditional(tokens.mask());
    shift = task.unconditionalShift();
    active = task.isCanvas() ? masks.length : options.genLength();
    revisionsLeft = options.revisionBudget();
  }

  static Answer run(SpecialTokens tokens, PlainModel model, DenoisingTask task) {
    return new PlainSampler(tokens, model, task).run();
  }

  private int length() {
    return active == masks.length ? canvas.length : masks[active - 1] + 1;
  }

  private Answer run() {
    int cursor = 0;
    int repeats = 0;
    int passes = 0;
    int sinceWhole = -1;
    boolean mayGrow = active < masks.length;
    boolean stopped = false;
    while (!stopped && cursor < plan.end(active)) {
      int block = plan.block(cursor);
      int step = plan.step(cursor) + repeats;
      List<Row> rows = rows(block, step, sinceWhole >= 0);
      passes++;
      boolean first = repeats == 0 && (plan.flags(cursor) & DenoisingPlan.FIRST_OF_BLOCK) != 0;
      if (mayGrow && first && end(block) == active && rows.stream().noneMatch(this::endsSurely)) {
        active += Math.min(options.blockLength(), masks.length - active);
        mayGrow = active < masks.length;
        sinceWhole = options.cache() == CacheMode.NONE ? -1 : sinceWhole;
        continue;
      }
      commit(rows, cursor, step);
      boolean full = IntStream.range(begin(block), end(block)).noneMatch(this::isMasked);
      stopped = options.earlyStop() && endsIn(block);
      boolean stays = (plan.flags(cursor) & DenoisingPlan.UNTIL_FULL) != 0 && !full;
      if (stays) {
        repeats++;
      } else {
        repeats = 0;
        cursor++;
        while (full && cursor < plan.size() && plan.block(cursor) == block) {
          cursor++;
        }
      }
      sinceWhole = full ? -1 : sinceWhole + 1;
      if (options.cache() == CacheMode.NONE
          || (options.cacheRefresh() > 0 && sinceWhole == options.cacheRefresh())) {
        sinceWhole = -1;
      }
    }
    return new Answer(Arrays.copyOf(canvas, length()), commits, passes, stopped);
  }

  private int begin(int block) {
    return block * options.blockLength();
  }

  private int end(int block) {
    return Math.min(begin(block) + options.blockLength(), active);
  }

  private boolean isMasked(int mask) {
    return canvas[masks[mask]] == tokens.mask();
  }

  private boolean endsSurely(Row row) {
    return row.masked && row.token == tokens.eos() && row.key <= 1;
  }

  private boolean endsIn(int block) {
    for (int mask = begin(block); mask < end(block) && !isMasked(mask); mask++) {
      if (canvas[masks[mask]] == tokens.eos()) {
        return true;
      }
    }
    return false;
  }

  // Rows.

  private List<Row> rows(int block, int step, boolean part) {
    int[] positions = Arrays.copyOfRange(masks, begin(block), end(block));
    int first = part ? positions[0] : 0;
    boolean blockOnly = part && options.cache() == CacheMode.DUAL;
    int end = blockOnly ? positions[positions.length - 1] + 1 : length();
    boolean cached = options.cache() != CacheMode.NONE;
    float[][] conditional =
        model.logits(Arrays.copyOf(canvas, length()), first, end, positions, cached ? 0 : -1);
    float[][] unconditional = null;
    if (copy != null) {
      int[] shifted = Arrays.stream(positions).map(position -> position + shift).toArray();
      unconditional =
          model.logits(
              Arrays.copyOf(copy, length() + shift),
              part ? first + shift : 0,
              end + shift,
              shifted,
              cached ? 1 : -1);
    }
    var rows = new ArrayList<Row>();
    for (int i = 0; i < positions.length; i++) {
      int mask = begin(block) + i;
      boolean masked = isMasked(mask);
      if (masked || options.revises()) {
        double[] row =
            constrained(mask, conditional[i], unconditional == null ? null : unconditional[i]);
        int token = masked ? candidate(row, step, positions[i]) : canvas[positions[i]];
        if (token >= 0) {
          double key = masked ? key(row, token, step, positions[i]) : odds(row, token);
          rows.add(new Row(mask, positions[i], masked, token, key));
        }
      }
    }
    return rows;
  }

  /// The guided logits with everything that is forbidden at -∞.
  private double[] constrained(int mask, float[] conditional, float[] unconditional) {
    double[] row = new double[conditional.length];
    Constraints constraints = task.constraints();
    int position = masks[mask] - task.answerBegin();
    for (int id = 0; id < row.length; id++) {
      float bias = constraints.bias().getOrDefault(id, 0f);
      row[id] = conditional[id] + bias;
      if (unconditional != null) {
        double un = unconditional[id] + bias;
        row[id] = un + (float) (options.cfgScale() + 1) * (row[id] - un);
      }
      if (!allowed(constraints.allowed(), position, id)
          || named(constraints.banned(), position, id)
          || !inChoice(constraints.choices(), mask, id)
          || (options.suppressEos() && id == tokens.eos())) {
        row[id] = Double.NEGATIVE_INFINITY;
      }
    }
    return row;
  }

  private static boolean named(Map<Integer, int[]> rules, int position, int id) {
    return contains(rules.get(position), id) || contains(rules.get(Constraints.EVERYWHERE), id);
  }

  private static boolean allowed(Map<Integer, int[]> rules, int position, int id) {
    int[] here = rules.get(position);
    int[] everywhere = rules.get(Constraints.EVERYWHERE);
    return (here == null || contains(here, id)) && (everywhere == null || contains(everywhere, id));
  }

  private static boolean contains(int[] idsOrNull, int id) {
    return idsOrNull != null && Arrays.stream(idsOrNull).anyMatch(i -> i == id);
  }

  private boolean inChoice(int[][] choices, int mask, int id) {
    if (choices.length == 0) {
      return true;
    }
    for (int[] choice : choices) {
      boolean alive = true;
      for (int m = 0; m < masks.length; m++) {
        alive &= m == mask || choice[m] < 0 || isMasked(m) || canvas[masks[m]] == choice[m];
      }
      if (alive && (choice[mask] < 0 || choice[mask] == id)) {
        return true;
      }
    }
    return false;
  }

  private boolean deferred(int id) {
    return options.deferEos() && (id == tokens.eos() || id == tokens.eot());
  }

  private boolean choosable(double[] row, int id) {
    return id < tokens.vocabulary() && id != tokens.mask() && row[id] > Double.NEGATIVE_INFINITY;
  }

  private int candidate(double[] row, int step, int position) {
    double temperature = (float) options.temperature();
    double floor = temperature > 0 ? floor(row) : Double.NEGATIVE_INFINITY;
    int best = -1;
    double value = 0;
    for (int id = 0; id < row.length; id++) {
      if (!choosable(row, id) || row[id] < floor) {
        continue;
      }
      double noise =
          temperature > 0 ? temperature * Philox.gumbel(options.seed(), step, position, id) : 0;
      if (best < 0 || row[id] + noise > value) {
        best = id;
        value = row[id] + noise;
      }
    }
    return best;
  }

  /// The smallest logit that top-k, then top-p leave.
  private double floor(double[] row) {
    double[] sorted =
        IntStream.range(0, row.length)
            .filter(id -> choosable(row, id))
            .mapToDouble(id -> -row[id])
            .sorted()
            .map(l -> -l)
            .toArray();
    double floor = Double.NEGATIVE_INFINITY;
    if (options.topK() > 0 && options.topK() < sorted.length) {
      floor = sorted[options.topK() - 1];
    }
    if (options.topP() < 1 && sorted.length > 0) {
      double[] mass = new double[sorted.length];
      double all = 0;
      for (int i = 0; i < sorted.length && sorted[i] >= floor; i++) {
        mass[i] = Math.exp((sorted[i] - sorted[0]) / (float) options.temperature());
        all += mass[i];
      }
      double before = 0;
      for (int i = 0; i < sorted.length && sorted[i] >= floor; i++) {
        before += mass[i];
        if (before >= (float) options.topP() * all) {
          return sorted[i];
        }
      }
    }
    return floor;
  }

  private double key(double[] row, int chosen, int step, int position) {
    if (deferred(chosen)) {
      return Double.POSITIVE_INFINITY;
    }
    if (options.remasking() == Remasking.RANDOM) {
      double u = Philox.uniform(options.seed(), step, position);
      return (1 - u) / u;
    }
    double max = Arrays.stream(row).max().orElseThrow();
    double sum = 0;
    for (int id = 0; id < row.length; id++) {
      sum += deferred(id) ? 0 : Math.exp(row[id] - max);
    }
    if (options.remasking() == Remasking.ENTROPY) {
      double entropy = 0;
      for (int id = 0; id < row.length; id++) {
        double p = deferred(id) ? 0 : Math.exp(row[id] - max) / sum;
        entropy -= p > 0 ? p * Math.log(p) : 0;
      }
      return Math.expm1(entropy);
    }
    if (options.remasking() == Remasking.MARGIN) {
      double first = 0;
      double second = 0;
      for (int id = 0; id < row.length; id++) {
        if (choosable(row, id) && !deferred(id)) {
          double p = Math.exp(row[id] - max) / sum;
          second = Math.max(second, Math.min(first, p));
          first = Math.max(first, p);
        }
      }
      return (1 - (first - second)) / (first - second);
    }
    double others = 0;
    for (int id = 0; id < row.length; id++) {
      others += id == chosen || deferred(id) ? 0 : Math.exp(row[id] - row[chosen]);
    }
    return others;
  }

  /// The odds against a committed token.
  private double odds(double[] row, int target) {
    double others = 0;
    for (int id = 0; id < row.length; id++) {
      boolean left = deferred(id) && !deferred(target);
      others += id == target || left ? 0 : Math.exp(row[id] - row[target]);
    }
    return others;
  }

  // Commits.

  private void commit(List<Row> rows, int entry, int step) {
    List<Row> sorted =
        rows.stream()
            .filter(Row::masked)
            .sorted(Comparator.comparingDouble(Row::key).thenComparingInt(Row::position))
            .toList();
    if (sorted.isEmpty()
        && IntStream.range(begin(plan.block(entry)), end(plan.block(entry)))
            .anyMatch(this::isMasked)) {
      throw new IllegalStateException("stuck");
    }
    List<Row> taken = taken(sorted, entry, step);
    List<Row> back =
        rows.stream()
            .filter(row -> !row.masked && row.key > revisionBound())
            .sorted(
                Comparator.<Row>comparingDouble(row -> -row.key).thenComparingInt(Row::position))
            .limit(revisionsLeft)
            .toList();
    revisionsLeft -= back.size();
    write(taken, step, false);
    write(back, step, true);
  }

  private float revisionBound() {
    return (float) ((1 - options.revisionThreshold()) / options.revisionThreshold());
  }

  private void write(List<Row> rows, int step, boolean again) {
    rows.stream()
        .sorted(Comparator.comparingInt(Row::position))
        .forEach(row -> {
          int token = again ? tokens.mask() : row.token;
          canvas[row.position] = token;
          if (copy != null) {
            copy[row.position + shift] = token;
          }
          commits.add(
              new Commit(step, row.position, again ? -1 : row.token, (float) (1 / (1 + row.key))));
        });
  }

  private List<Row> taken(List<Row> sorted, int entry, int step) {
    if (options.threshold().isPresent()) {
      double threshold = options.threshold().getAsDouble();
      long count =
          sorted.stream().filter(row -> row.key <= (float) ((1 - threshold) / threshold)).count();
      return sorted.subList(0, (int) Math.min(sorted.size(), Math.max(1, count)));
    }
    if (options.factor().isPresent()) {
      int count = 1;
      for (int n = 1; n <= sorted.size(); n++) {
        double key = sorted.get(n - 1).key;
        double wrong = Double.isInfinite(key) ? 1 : key / (1 + key);
        if ((n + 1) * wrong < (float) options.factor().getAsDouble()) {
          count = n;
        }
      }
      return sorted.subList(0, Math.min(sorted.size(), count));
    }
    if (options.remasking() == Remasking.ORIGIN) {
      return sorted.stream()
          .filter(row -> Philox.chance(options.seed(), step, row.position) < plan.chance(entry))
          .toList();
    }
    int quota = plan.quota(entry);
    if ((plan.flags(entry) & DenoisingPlan.UNTIL_FULL) != 0 && options.revises()) {
      quota = Math.max(1, quota);
    }
    return sorted.subList(0, Math.min(sorted.size(), quota));
  }
}
