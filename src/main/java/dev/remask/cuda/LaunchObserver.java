package dev.remask.cuda;

/// Told of every kernel and every product that a stream is given, by the thread that enqueues it
/// ([Stream#observe]). Device thread.
public interface LaunchObserver {
  /// Something is about to be enqueued on `stream`.
  void before(Stream stream);

  /// It has been. Not called where the driver refused it.
  ///
  /// @param stream what it was enqueued on
  /// @param kernel the kernel's symbol, or `cublasLtMatmul`
  /// @param sizes its `int` parameters in their order; m, n and k of a product; to be kept
  void after(Stream stream, String kernel, int[] sizes);
}
