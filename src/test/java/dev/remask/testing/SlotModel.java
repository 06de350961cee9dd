package dev.remask.testing;

import dev.remask.kernel.CommitRule;
import dev.remask.kernel.DiffusionState;
import dev.remask.kernel.DiffusionState.CommitRecord;
import dev.remask.kernel.DiffusionState.Member;
import dev.remask.kernel.DiffusionState.PlanEntry;
import dev.remask.kernel.DiffusionState.Progress;
import dev.remask.kernel.DiffusionState.Row;
import dev.remask.kernel.DiffusionState.Sequence;
import dev.remask.kernel.SequenceStatus;
import dev.remask.kernel.SpecialTokens;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/// One slot of the denoising loop in plain Java: what the kernels lay_rows and commit_rows do to
/// it, said with lists and sorting. Written from `kernels/include/diffusion_state.h` and the head
/// of `kernels/commit.cu`, not from the kernels.
public final class SlotModel {
  private final int slot;
  private final SpecialTokens tokens;
  private final int[] canvas;
  private final int[] maskPositions;
  private final PlanEntry[] plan;
  private final List<CommitRecord> log = new ArrayList<>();
  private Sequence sequence;
  private Progress progress;

  /// A row that took part in a step: its candidate, its key.
  private record Judged(Row row, int candidate, float key) {}

  /// The slot `slot`, of which `canvas`, `maskPositions` and `plan` are arenas: indexed as the
  /// sequence says, shared with other slots. The canvas is changed.
  public SlotModel(
      int slot,
      Sequence sequence,
      Progress progress,
      int[] canvas,
      int[] maskPositions,
      PlanEntry[] plan,
      SpecialTokens tokens) {
    this.slot = slot;
    this.sequence = sequence;
    this.progress = progress;
    this.canvas = canvas;
    this.maskPositions = maskPositions;
    this.plan = plan;
    this.tokens = tokens;
  }

  /// How far it is.
  public Progress progress() {
    return progress;
  }

  /// What the host says of it.
  public Sequence sequence() {
    return sequence;
  }

  /// The records so far that fit its log.
  public List<CommitRecord> log() {
    return log;
  }

  /// What the host does between passes: another progress, another sequence (an extended one).
  public void change(Sequence sequence, Progress progress) {
    this.sequence = sequence;
    this.progress = progress;
  }

  private boolean has(int flag) {
    return sequence.has(flag);
  }

  private boolean works() {
    return progress.status() == SequenceStatus.RUNNING && progress.cursor() < sequence.planEnd();
  }

  private PlanEntry entry() {
    return plan[progress.cursor()];
  }

  /// The indices of a block's masks.
  private List<Integer> masksOf(int block) {
    int begin = block * sequence.blockLength();
    int end = Math.min(begin + sequence.blockLength(), sequence.maskCount());
    return IntStream.range(begin, end).boxed().toList();
  }

  private int position(int maskIndex) {
    return maskPositions[sequence.canvasBegin() + maskIndex];
  }

  private int token(int position) {
    return canvas[sequence.canvasBegin() + position];
  }

  private void put(int position, int token) {
    canvas[sequence.canvasBegin() + position] = token;
    if (sequence.guided()) {
      canvas[sequence.unconditionalBegin() + position] = token;
    }
  }

  /// Its rows in a pass.
  public List<Row> rows(Member member) {
    var rows = new ArrayList<Row>();
    if (works()) {
      for (int mask : masksOf(entry().block())) {
        rows.add(row(member, mask, rows.size()));
      }
    }
    while (rows.size() < sequence.blockLength()) {
      rows.add(Row.nothing(slot));
    }
    return rows;
  }

  private Row row(Member member, int mask, int index) {
    int position = position(mask);
    int token = token(position);
    int step = entry().step() + progress.repeats();
    int unconditional = sequence.guided() ? member.unconditionalRowBegin() + index : -1;
    if (token == tokens.mask()) {
      return new Row(slot, position, step, DiffusionState.CHOOSE, unconditional, -1, mask);
    }
    if (has(DiffusionState.REVISE) && progress.revisionsLeft() > 0) {
      return new Row(slot, position, step, DiffusionState.RECONSIDER, unconditional, token, mask);
    }
    return Row.nothing(slot);
  }

  /// The packed query that the row's logits come from; of the copy's row if `unconditional`.
  public static int query(Member member, Row row, boolean unconditional) {
    int begin = unconditional ? member.unconditionalQueryBegin() : member.queryBegin();
    return row.kind() == DiffusionState.NOTHING
        ? begin
        : begin + row.position() - member.queryFirst();
  }

  /// Ends a step in which the rows of `member` got these candidates and keys, indexed like all rows
  /// of the pass.
  public void commit(Member member, int[] candidates, float[] keys) {
    if (progress.status() != SequenceStatus.RUNNING) {
      return;
    }
    if (!works()) {
      progress = progress.with(SequenceStatus.FILLED);
      return;
    }
    List<Row> rows = rows(member);
    var judged = new ArrayList<Judged>();
    for (int i = 0; i < rows.size(); i++) {
      int at = member.rowBegin() + i;
      judged.add(new Judged(rows.get(i), candidates[at], keys[at]));
    }
    List<Judged> masked =
        judged.stream().filter(j -> j.row.kind() == DiffusionState.CHOOSE).toList();
    List<Judged> choosable =
        masked.stream()
            .filter(j -> j.key >= 0)
            .sorted(Comparator.comparing((Judged j) -> j.key + 0.0f)) // -0 and 0 are one key
            .toList();
    PlanEntry entry = entry();
    var counted =
        new Progress(
            progress.cursor(),
            progress.repeats(),
            progress.passes() + 1,
            progress.status(),
            progress.revisionsLeft(),
            progress.logCount(),
            progress.sinceWhole(),
            progress.masksLeft());
    if (!masked.isEmpty() && choosable.isEmpty()) {
      progress = counted.with(SequenceStatus.STUCK);
    } else if (wantsLength(entry, choosable)) {
      progress = counted.with(SequenceStatus.WANTS_LENGTH);
    } else {
      List<Judged> taken = byPosition(taken(entry, choosable));
      List<Judged> revised = byPosition(revised(judged));
      taken.forEach(j -> put(j.row.position(), j.candidate));
      revised.forEach(j -> put(j.row.position(), tokens.mask()));
      if (has(DiffusionState.LOG)) {
        taken.forEach(j -> record(j, j.candidate));
        revised.forEach(j -> record(j, DiffusionState.MASKED_AGAIN));
      }
      progress = next(member, entry, masked.size() - taken.size() + revised.size(), revised.size());
    }
  }

  private boolean wantsLength(PlanEntry entry, List<Judged> choosable) {
    boolean firstPass =
        (entry.flags() & DiffusionState.FIRST_OF_BLOCK) != 0 && progress.repeats() == 0;
    boolean lastBlock = (entry.block() + 1) * sequence.blockLength() >= sequence.maskCount();
    boolean sureEnd = choosable.stream().anyMatch(j -> isEos(j.candidate) && j.key <= 1);
    return has(DiffusionState.AUTO_LENGTH) && firstPass && lastBlock && !sureEnd;
  }

  private boolean isEos(int token) {
    return tokens.eos() >= 0 && token == tokens.eos();
  }

  /// Those that commit, of the choosable in the order of their keys.
  private List<Judged> taken(PlanEntry entry, List<Judged> choosable) {
    if (choosable.isEmpty()) {
      return List.of();
    }
    int count =
        switch (sequence.commitRule()) {
          case QUOTA -> Math.max(entry.quota(), 0);
          case THRESHOLD ->
              Math.max(1, (int) choosable.stream().filter(j -> j.key <= sequence.bound()).count());
          case FACTOR -> Math.max(1, largestFactorCount(choosable));
          case CHANCE -> -1;
        };
    if (sequence.commitRule() == CommitRule.CHANCE) {
      return choosable.stream()
          .filter(
              j -> Philox.chance(sequence.seed(), j.row.step(), j.row.position()) < entry.chance())
          .toList();
    }
    return choosable.subList(0, Math.min(count, choosable.size()));
  }

  private int largestFactorCount(List<Judged> choosable) {
    for (int n = choosable.size(); n > 0; n--) {
      double key = choosable.get(n - 1).key;
      double doubt = key == Double.POSITIVE_INFINITY ? 1 : key / (1 + key);
      if ((n + 1) * doubt < sequence.bound()) {
        return n;
      }
    }
    return 0;
  }

  /// Those that are masked again.
  private List<Judged> revised(List<Judged> judged) {
    return judged.stream()
        .filter(j -> j.row.kind() == DiffusionState.RECONSIDER)
        .filter(j -> j.key >= 0 && j.key > sequence.revisionBound())
        .sorted(Comparator.comparing((Judged j) -> -(j.key + 0.0f)))
        .limit(progress.revisionsLeft())
        .toList();
  }

  private static List<Judged> byPosition(List<Judged> judged) {
    return judged.stream().sorted(Comparator.comparing((Judged j) -> j.row.maskIndex())).toList();
  }

  private void record(Judged judged, int token) {
    if (log.size() < sequence.logCapacity()) {
      float confidence = 1 / (1 + judged.key);
      log.add(new CommitRecord(judged.row.step(), judged.row.position(), token, confidence));
    }
  }

  /// The progress after a pass that committed, with `left` masks in its block.
  private Progress next(Member member, PlanEntry entry, int left, int revisions) {
    int cursor = progress.cursor();
    int repeats = 0;
    int masksLeft = left;
    if (left == 0) {
      Set<Integer> done = new HashSet<>(Set.of(entry.block()));
      while (cursor < sequence.planEnd() && done.contains(plan[cursor].block())) {
        cursor++;
      }
      masksLeft = cursor == sequence.planEnd() ? 0 : masksOf(plan[cursor].block()).size();
    } else {
      boolean untilFull = (entry.flags() & DiffusionState.UNTIL_FULL) != 0;
      boolean lastOfBlock =
          cursor + 1 == sequence.planEnd() || plan[cursor + 1].block() != entry.block();
      if (untilFull || lastOfBlock) {
        repeats = progress.repeats() + 1;
      } else {
        cursor++;
      }
    }
    int sinceWhole = progress.sinceWhole();
    SequenceStatus status = SequenceStatus.RUNNING;
    if (has(DiffusionState.CACHED)) {
      sinceWhole = member.cached() ? sinceWhole + 1 : 0;
      boolean refresh = sequence.cacheRefresh() > 0 && sinceWhole >= sequence.cacheRefresh();
      if (left == 0 || refresh) {
        sinceWhole = -1;
      }
      if (member.cached() == (sinceWhole == -1)) {
        status = SequenceStatus.WANTS_PASS;
      }
    }
    if (cursor == sequence.planEnd()) {
      status = SequenceStatus.FILLED;
    }
    if (has(DiffusionState.EARLY_STOP) && endsEarly(entry.block())) {
      status = SequenceStatus.STOPPED;
    }
    return new Progress(
        cursor,
        repeats,
        progress.passes() + 1,
        status,
        progress.revisionsLeft() - revisions,
        has(DiffusionState.LOG) ? log.size() : progress.logCount(),
        sinceWhole,
        masksLeft);
  }

  private boolean endsEarly(int block) {
    List<Integer> found = masksOf(block).stream().map(mask -> token(position(mask))).toList();
    int mask = found.indexOf(tokens.mask());
    int eos = tokens.eos() < 0 ? -1 : found.indexOf(tokens.eos());
    return eos >= 0 && (mask < 0 || eos < mask);
  }
}
