package dev.remask.cuda;

/// A call of the CUDA driver, of cuBLASLt or of the loader failed.
///
/// The message holds the function, the arguments that matter, the error's name and code, a hint for
/// common errors, and the driver's own words where it keeps an error log (CUDA 12.9 and newer, and
/// the software device).
public final class CudaException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final String function;
  private final String arguments;
  private final String errorName;
  private final int code;

  private CudaException(
      String message, String function, String arguments, String errorName, int code) {
    super(message);
    this.function = function;
    this.arguments = arguments;
    this.errorName = errorName;
    this.code = code;
  }

  /// A status that a function returned. `log` is the driver's text, empty if it has none.
  static CudaException status(
      String function, String arguments, String errorName, int code, String hint, String log) {
    var message = new StringBuilder();
    message.append(function).append('(').append(arguments).append("): ");
    message.append(errorName).append(" (").append(code).append(')');
    if (!hint.isEmpty()) {
      message.append("; ").append(hint);
    }
    if (!log.isEmpty()) {
      message.append("\n  device log: ").append(log.replace("\n", "\n  device log: "));
    }
    return new CudaException(message.toString(), function, arguments, errorName, code);
  }

  /// A failure without a status: a library, a symbol or an image is missing.
  static CudaException of(String function, String arguments, String reason) {
    String call = function.isEmpty() ? "" : function + "(" + arguments + "): ";
    return new CudaException(call + reason, function, arguments, "", -1);
  }

  /// The same failure for one of many who suffer from it: with this one as its cause, and room for
  /// the stack of the thread that waited.
  public CudaException again() {
    var copy = new CudaException(getMessage(), function, arguments, errorName, code);
    copy.initCause(this);
    return copy;
  }

  /// The C function that failed, for example `cuMemAlloc_v2`; empty when none was called.
  public String function() {
    return function;
  }

  /// The arguments that matter, for example `bytes=4096`.
  public String arguments() {
    return arguments;
  }

  /// The error's name, for example `CUDA_ERROR_OUT_OF_MEMORY`; empty when there was no status.
  public String errorName() {
    return errorName;
  }

  /// The status; −1 when there was none.
  public int code() {
    return code;
  }
}
