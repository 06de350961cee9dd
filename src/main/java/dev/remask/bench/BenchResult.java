package dev.remask.bench;

import java.util.List;
import java.util.Map;
import java.util.OptionalLong;

/// All that a [Bench] has found out.
///
/// @param model what was measured: its name and sizes, in the order in which they are shown
/// @param machine where and with what
/// @param load loading, and the first step
/// @param steps steps by canvas and batch
/// @param decodings whole answers
/// @param memory planned and found
/// @param profile a step kernel by kernel
/// @param rounds rounds of samples that the time allowed
/// @param notes what a reader of the figures should know
/// @param onHost whether the device's memory is the host's
/// @param trace what was done when
public record BenchResult(
    Map<String, String> model,
    Map<String, String> machine,
    Load load,
    List<StepTime> steps,
    List<DecodingTime> decodings,
    Memory memory,
    KernelProfile profile,
    int rounds,
    List<String> notes,
    boolean onHost,
    Trace trace) {

  /// Loading, in milliseconds.
  ///
  /// @param firstMs the first load of the process: libraries and classes included
  /// @param ms further ones, if it was quick enough to do it again
  /// @param firstStepMs the first answer, of one step, after the first load
  /// @param stepMs the first answer after the further ones
  record Load(double firstMs, Samples ms, double firstStepMs, Samples stepMs) {}

  /// A step.
  ///
  /// @param shape canvas and batch
  /// @param masks masked positions of each canvas, which is rows of logits
  /// @param ms of a step
  record StepTime(BenchPlan.Shape shape, int masks, Samples ms) {
    /// Canvases through a step per second.
    double canvasesPerSecond() {
      return shape.batch() * 1000.0 / ms.median();
    }
  }

  /// An answer.
  ///
  /// @param decoding how it is denoised
  /// @param promptLength tokens before it
  /// @param passes of the model that it took
  /// @param ms from the request to the answer
  record DecodingTime(Decoding decoding, int promptLength, int passes, Samples ms) {
    double tokensPerSecond() {
      return decoding.options().genLength() * 1000.0 / ms.median();
    }
  }

  /// Memory in bytes.
  ///
  /// @param plannedBytes what the model said it would hold on the device
  /// @param deviceBytes what the driver has counted at the most since before the load, its own
  ///   included; of all processes
  /// @param weightFileBytes what the folder's files hold
  /// @param hostBeforeBytes resident before the load
  /// @param hostPeakBytes resident at the most, the software device's memory included
  record Memory(
      long plannedBytes,
      long deviceBytes,
      long weightFileBytes,
      OptionalLong hostBeforeBytes,
      OptionalLong hostPeakBytes) {}
}
