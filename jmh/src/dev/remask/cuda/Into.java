package dev.remask.cuda;

/// Where the calls of a benchmark go that enqueue something.
public enum Into {
  /// A stream, whose worker executes meanwhile.
  STREAM,

  /// A capture, where nothing runs and only the call is left.
  CAPTURE
}
