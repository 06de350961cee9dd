package dev.remask.bench;

import dev.remask.LoadOptions;
import dev.remask.Remask;
import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.model.ModelConfig;
import dev.remask.model.ModelException;

/// Whether a model of random weights fits, asked before anything of it is written or loaded.
public final class MemoryCheck {
  /// What is not counted: graphs, modules, the JVM.
  private static final long RESERVE_BYTES = 128L << 20;

  private MemoryCheck() {}

  /// Throws [ModelException], which says what fits, if the device has too little free memory for
  /// the model and the largest step of the plan; the software device's is the machine's.
  ///
  /// @param model to be loaded
  /// @param options to be loaded with
  /// @param plan to be measured
  public static void require(SyntheticModel model, LoadOptions options, BenchPlan plan) {
    Device device = Device.open(options.device());
    long free;
    try (Context context = Context.open(device)) {
      free = context.freeBytes();
    }
    if (device.isSoftware()) {
      free = Math.min(free, HostMemory.availableBytes().orElse(free));
    }
    require(model, options, plan, free, device.toString());
  }

  static void require(
      SyntheticModel model, LoadOptions options, BenchPlan plan, long free, String device) {
    long needed = bytes(model, options, plan);
    if (needed <= free) {
      return;
    }
    int layers = fittingLayers(model, options, plan, free);
    String advice =
        layers > 0
            ? "with " + layers + " layers (--layers " + layers + ") it would fit"
            : "not even a layer of it fits";
    throw new ModelException(
        ("a model of %s layers (%s) takes %s of device memory with the largest step that is asked"
                + " for, %s of that its weights as they are stored; %s are free on %s: %s, and"
                + " shorter --lengths or smaller --batches take less")
            .formatted(
                model.layers(),
                model.name(),
                ByteSizes.text(needed),
                ByteSizes.text(SyntheticFiles.bytes(model)),
                ByteSizes.text(free),
                device,
                advice));
  }

  /// The most layers with which the model fits; 0 if it does not with one. It does not with all.
  private static int fittingLayers(
      SyntheticModel model, LoadOptions options, BenchPlan plan, long free) {
    int fits = 0;
    int tooMany = model.layers();
    while (tooMany - fits > 1) {
      int middle = (fits + tooMany) >>> 1;
      if (bytes(model.withLayers(middle), options, plan) <= free) {
        fits = middle;
      } else {
        tooMany = middle;
      }
    }
    return fits;
  }

  private static long bytes(SyntheticModel model, LoadOptions options, BenchPlan plan) {
    ModelConfig config = model.config();
    return Remask.requiredBytes(config, plan.limits(config, options)) + RESERVE_BYTES;
  }
}
