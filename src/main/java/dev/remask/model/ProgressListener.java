package dev.remask.model;

/// Hears how far the loading of a model's weights has come.
@FunctionalInterface
public interface ProgressListener {
  /// Hears nothing.
  ProgressListener NONE = (done, total) -> {};

  /// Called on the device thread after each chunk; `bytesDone` grows to `bytesTotal`. Both count
  /// bytes of device memory to be filled with weights. An exception thrown here ends the loading.
  void onProgress(long bytesDone, long bytesTotal);
}
