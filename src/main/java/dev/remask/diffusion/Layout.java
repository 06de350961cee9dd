package dev.remask.diffusion;

import dev.remask.kernel.DiffusionState;
import dev.remask.model.PassSequence;
import dev.remask.model.PassShape;
import java.util.ArrayList;
import java.util.List;

/// Where the members of a run lie in the packed pass and in its rows of logits: the rows of the
/// blocks in the order of the members, then those of the copies.
final class Layout {
  /// The members, in the order of the pass.
  final List<Slot> members;

  final PassShape shape;
  final List<DiffusionState.Member> entries;

  /// What fixes the launches of a step: steps of equal keys are one graph.
  ///
  /// @param pass what fixes those of the forward pass
  /// @param members of the run
  /// @param constrained whether a member has constraints
  /// @param restricted whether a member samples from its likeliest tokens only
  /// @param revised whether a member looks at its committed tokens again
  record Key(Object pass, int members, boolean constrained, boolean restricted, boolean revised) {
    /// Whether a step reads logits beside the choice of tokens, or changes them before it.
    boolean usesLogits() {
      return constrained || restricted || revised;
    }
  }

  /// The members' places in the state arrays.
  final int[] slots;

  private Layout(List<Slot> members, PassShape shape, List<DiffusionState.Member> entries) {
    this.members = members;
    this.shape = shape;
    this.entries = entries;
    slots = members.stream().mapToInt(slot -> slot.index).toArray();
  }

  static Layout of(List<Slot> members) {
    var sequences = new ArrayList<PassSequence>();
    int rows = 0;
    for (Slot slot : members) {
      sequences.add(slot.sequence());
      rows += slot.blockLength();
    }
    int copyRows = rows;
    for (Slot slot : members) {
      if (slot.guided()) {
        sequences.add(slot.copy());
        copyRows += slot.blockLength();
      }
    }
    PassShape shape = PassShape.of(sequences, copyRows);
    return new Layout(List.copyOf(members), shape, entries(members, shape, rows));
  }

  private static List<DiffusionState.Member> entries(
      List<Slot> members, PassShape shape, int firstCopyRow) {
    var entries = new ArrayList<DiffusionState.Member>();
    int copy = members.size();
    int row = 0;
    int copyRow = firstCopyRow;
    for (int i = 0; i < members.size(); i++) {
      Slot slot = members.get(i);
      entries.add(
          new DiffusionState.Member(
              slot.index,
              shape.queryBegin(i),
              slot.firstQuery(),
              slot.guided() ? shape.queryBegin(copy) + slot.copyQueryOffset() : 0,
              row,
              slot.guided() ? copyRow : 0,
              slot.nextPassCached()));
      row += slot.blockLength();
      if (slot.guided()) {
        copy++;
        copyRow += slot.blockLength();
      }
    }
    return entries;
  }

  Key key(Object pass) {
    boolean constrained = false;
    boolean restricted = false;
    boolean revised = false;
    for (Slot slot : members) {
      DiffusionOptions options = slot.request.options();
      constrained |= !slot.request.constraints().isEmpty();
      restricted |= options.temperature() > 0 && (options.topK() > 0 || options.topP() < 1);
      revised |= options.revises();
    }
    return new Key(pass, members.size(), constrained, restricted, revised);
  }

  /// Steps that every member has left before its status can change, at least 1.
  int certainSteps() {
    int steps = Integer.MAX_VALUE;
    for (Slot slot : members) {
      steps = Math.min(steps, slot.certainSteps());
    }
    return steps;
  }
}
