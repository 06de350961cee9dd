package dev.remask.cli;

/// How results are written.
enum OutputFormat {
  /// For people: the answer's text alone.
  TEXT,
  /// For programs: one JSON object a line.
  JSON
}
