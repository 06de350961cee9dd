package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.DeviceSpec;
import dev.remask.diffusion.GoldenCases.GoldenCase;
import dev.remask.diffusion.GoldenCases.GoldenModel;
import dev.remask.kernel.Architecture;
import dev.remask.kernel.DType;
import dev.remask.testing.GpuTest;
import dev.remask.testing.TestDevices;
import java.util.List;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Whole generations against the official implementation's.
class GoldenGenerationTest {
  /// The emulator runs the CUDA sources thread by thread: some 10 ms per token and layer.
  private static final int EMULATED_PASSES = 4;

  /// Kernels of tensor cores have more work in an instruction.
  private static final int TENSOR_CORE_PASSES = 16;

  private static final String LOOP = "remask.loop";

  /// The goldens round to 7 digits and bind to 4; f32 logits agree to 1e-4.
  private static final float CONFIDENCE_TOLERANCE = 1e-4f;

  @AfterEach
  void anyLoop() {
    System.clearProperty(LOOP);
  }

  @ParameterizedTest
  @EnumSource
  void software_f32_equalsTheReference(GoldenModel model) {
    check(TestDevices.software(), DType.F32, model, GoldenCase::bindsF32);
  }

  @ParameterizedTest
  @EnumSource
  void software_f32_launchByLaunch_equalsTheReference(GoldenModel model) {
    System.setProperty(LOOP, "steps");
    check(TestDevices.software(), DType.F32, model, GoldenCase::bindsF32);
  }

  @ParameterizedTest
  @EnumSource
  void software_f32_equalsFastDllm_inNoMorePasses(GoldenModel model) {
    try (var loaded = LoadedDenoiser.open(TestDevices.software(), DType.F32, model)) {
      check(loaded, DType.F32, model.accelerated().stream().filter(GoldenCase::bindsF32).toList());
    }
  }

  /// Prefix and dual caches among them, by the kernels that cards run.
  @Test
  void emulator_f32_equalsFastDllmInFewPasses() {
    List<GoldenCase> few =
        GoldenModel.TINY.accelerated().stream()
            .filter(golden -> golden.bindsF32() && golden.forwardPasses() <= EMULATED_PASSES)
            .toList();
    try (var loaded = LoadedDenoiser.open(TestDevices.emulator(), DType.F32, GoldenModel.TINY)) {
      check(loaded, DType.F32, few);
    }
  }

  @ParameterizedTest
  @EnumSource
  void software_bf16_equalsTheReference(GoldenModel model) {
    check(TestDevices.software(), DType.BF16, model, GoldenCase::bindsBf16);
  }

  @ParameterizedTest
  @EnumSource
  void emulator_f32_equalsTheReferenceInFewPasses(GoldenModel model) {
    check(
        TestDevices.emulator(),
        DType.F32,
        model,
        golden -> golden.bindsF32() && golden.forwardPasses() <= EMULATED_PASSES);
  }

  @ParameterizedTest
  @EnumSource
  void emulator_bf16_equalsTheReferenceWithEveryFamilyOfKernels(Architecture family) {
    for (GoldenModel model : GoldenModel.values()) {
      check(
          TestDevices.emulator(),
          DType.BF16,
          model,
          family,
          golden -> golden.bindsBf16() && golden.forwardPasses() <= passes(family));
    }
  }

  /// How long a generation may be in the emulator: `-Dremask.golden.passes=100` takes them all.
  private static int passes(Architecture family) {
    return Integer.getInteger(
        "remask.golden.passes",
        family == Architecture.PORTABLE ? EMULATED_PASSES : TENSOR_CORE_PASSES);
  }

  @GpuTest
  void cuda_f32_equalsTheReference(DeviceSpec gpu) {
    for (GoldenModel model : GoldenModel.values()) {
      check(gpu, DType.F32, model, GoldenCase::bindsF32);
    }
  }

  @GpuTest
  void cuda_bf16_equalsTheReference(DeviceSpec gpu) {
    for (Architecture family : Architecture.runnable(TestDevices.context(gpu).device())) {
      for (GoldenModel model : GoldenModel.values()) {
        check(gpu, DType.BF16, model, family, GoldenCase::bindsBf16);
      }
    }
  }

  private static void check(
      DeviceSpec device, DType dtype, GoldenModel model, Predicate<GoldenCase> binding) {
    try (var loaded = LoadedDenoiser.open(device, dtype, model)) {
      check(loaded, dtype, model, binding);
    }
  }

  private static void check(
      DeviceSpec device,
      DType dtype,
      GoldenModel model,
      Architecture family,
      Predicate<GoldenCase> binding) {
    try (var loaded = LoadedDenoiser.open(device, dtype, model, family)) {
      assertEquals(family, loaded.predictor.operations().architecture());
      check(loaded, dtype, model, binding);
    }
  }

  private static void check(
      LoadedDenoiser loaded, DType dtype, GoldenModel model, Predicate<GoldenCase> binding) {
    check(loaded, dtype, model.cases().stream().filter(binding).toList());
  }

  private static void check(LoadedDenoiser loaded, DType dtype, List<GoldenCase> cases) {
    assertTrue(!cases.isEmpty(), "no case binds in " + dtype);
    for (GoldenCase golden : cases) {
      check(golden, loaded.run(golden.promptIds(), golden.options(), true), dtype);
    }
  }

  static void check(GoldenCase golden, Denoised answer, DType dtype) {
    assertArrayEquals(golden.outputIds(), answer.outputIds(), golden + " tokens");
    assertTrue(
        answer.forwardPasses() <= golden.forwardPasses(),
        golden + " took " + answer.forwardPasses() + " passes, more than the reference");
    assertEquals(golden.outputIds().length, answer.trace().size(), golden + " commits");
    if (golden.traceStable() && dtype == DType.F32) {
      assertEquals(
          GoldenCases.commits(golden.trace()),
          GoldenCases.commits(answer.trace()),
          golden + " trace");
      for (Commit expected : golden.trace()) {
        assertEquals(
            expected.confidence(),
            confidence(answer, expected.position()),
            CONFIDENCE_TOLERANCE,
            golden + " confidence of " + expected);
      }
    }
  }

  private static float confidence(Denoised answer, int position) {
    return answer.trace().stream()
        .filter(commit -> commit.position() == position)
        .findAny()
        .orElseThrow()
        .confidence();
  }
}
