/// The CUDA driver API and cuBLASLt through Panama: the only package that links native functions.
///
/// The same code runs on NVIDIA's `libcuda.so.1` and on Remask's software device, which exports the
/// same functions; nothing above this package knows which of the two it is on. A process uses one
/// of them, the one whose [dev.remask.cuda.Device] it opens first.
///
/// Start at [dev.remask.cuda.Context]: it owns a device thread, on which all device work is
/// enqueued, and everything it hands out is closed by whoever asked for it, or by the context.
package dev.remask.cuda;
