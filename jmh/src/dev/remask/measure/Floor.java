package dev.remask.measure;

/// What one launch has to do at least: the bytes that it must read or write once, its floating
/// point operations, and the nanoseconds that the machine needs for the longer of the two.
public record Floor(long bytes, long flops, long nanos) {
  /// From a bandwidth in bytes and a peak in operations, both per nanosecond.
  public static Floor of(double bytes, double flops, double bandwidth, double peak) {
    double nanos = Math.max(bytes / bandwidth, flops / peak);
    return new Floor((long) bytes, (long) flops, Math.max(1, (long) nanos));
  }
}
