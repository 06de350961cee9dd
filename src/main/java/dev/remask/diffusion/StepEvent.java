package dev.remask.diffusion;

import java.util.List;

/// What one pass of a generation changed.
///
/// @param pass counts the events of a generation, from 1; a pass that changed nothing has none
/// @param commits in ascending position, those masked again ([Commit#isRevision]) after the others;
///   all of one step
public record StepEvent(int pass, List<Commit> commits) {
  /// Copies the list.
  public StepEvent {
    commits = List.copyOf(commits);
  }
}
