package dev.remask.testing;

import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;

/// Decides whether a [GpuTest] can run here, says why not, and hands it the GPU.
final class GpuTestExtension implements ExecutionCondition, ParameterResolver {
  private static final ConditionEvaluationResult RESULT = evaluate();

  @Override
  public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
    return RESULT;
  }

  @Override
  public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
    return parameter.getParameter().getType() == DeviceSpec.class;
  }

  @Override
  public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
    return TestDevices.gpu();
  }

  private static ConditionEvaluationResult evaluate() {
    if (Device.list(DeviceSpec.Kind.CUDA).isEmpty()) {
      return ConditionEvaluationResult.disabled(
          "no NVIDIA driver (libcuda.so.1) with a device is usable in this process");
    }
    if (!TestDevices.isGpuRun()) {
      return ConditionEvaluationResult.disabled(
          "there is a GPU, but this run is for software devices: set REMASK_DEVICE=cuda");
    }
    return ConditionEvaluationResult.enabled("this run is for " + TestDevices.gpu());
  }
}
