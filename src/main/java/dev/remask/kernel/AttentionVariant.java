package dev.remask.kernel;

import dev.remask.cuda.Stream;

/// A family of attention kernels. [Attention] has checked buffers, shape and work before it calls.
/// Device thread only.
interface AttentionVariant {
  /// Which kernels these are, for reports and errors.
  Architecture architecture();

  /// The CTAs' work for sequences of these lengths; a function of the lengths only.
  AttentionWork work(int[] queryLengths, int[] keyLengths);

  /// Whether these kernels can run on such buffers: addresses and strides may not suit them.
  boolean takes(Attention.Buffers buffers, Attention.Shape shape);

  /// Enqueues the kernels on `stream` and returns.
  void launch(Stream stream, Attention.Buffers buffers, Attention.Shape shape, AttentionWork work);
}
