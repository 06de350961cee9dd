package dev.remask.bench;

import dev.remask.cuda.LaunchRecorder.Launch;
import dev.remask.model.ModelConfig;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// The time of a step, kernel by kernel: what was launched, grouped by what it is for.
///
/// @param shape canvas and batch of the step
/// @param kernels groups of launches, the longest first
/// @param stepMs from the begin of a step's first kernel to the end of its last, gaps included
/// @param steps how many were recorded
public record KernelProfile(BenchPlan.Shape shape, List<Group> kernels, Samples stepMs, int steps) {

  /// The first kernel of every step.
  private static final String FIRST = "lay_rows";

  private static final double NANOS_PER_MS = 1e6;
  private static final double MS_PER_SECOND = 1000;
  private static final double GIGA = 1e9;

  /// Launches of a step that do the same.
  ///
  /// @param label what they are for, or the kernel
  /// @param kernel the symbol
  /// @param launches of a step
  /// @param ms all of them in a step
  /// @param flops of all of them in a step, where they are products; else 0
  record Group(String label, String kernel, int launches, Samples ms, double flops) {
    /// Billions of additions and multiplications a second.
    double gigaflops() {
      return flops / GIGA * MS_PER_SECOND / ms.median();
    }
  }

  /// Milliseconds of a step in which a kernel ran.
  double kernelMs() {
    return kernels.stream().mapToDouble(group -> group.ms().median()).sum();
  }

  /// Groups what was recorded; the first `warmUp` steps are left out.
  static KernelProfile of(BenchPlan.Shape shape, List<Launch> launches, Roles roles, int warmUp) {
    List<List<Launch>> steps = steps(launches);
    List<List<Launch>> counted = steps.subList(Math.min(warmUp, steps.size()), steps.size());
    var groups = new LinkedHashMap<String, Collected>();
    var stepMs = new Samples();
    for (List<Launch> step : counted) {
      Map<String, Double> sums = new LinkedHashMap<>();
      for (Launch launch : step) {
        String label = roles.label(launch);
        Collected group = groups.computeIfAbsent(label, unused -> new Collected(launch.kernel()));
        group.launches++;
        group.flops += roles.flops(launch);
        sums.merge(label, launch.nanos() / NANOS_PER_MS, Double::sum);
      }
      sums.forEach((label, ms) -> groups.get(label).ms.add(ms));
      Launch last = step.getLast();
      stepMs.add((last.beginNanos() + last.nanos() - step.getFirst().beginNanos()) / NANOS_PER_MS);
    }
    var kernels = new ArrayList<Group>();
    groups.forEach((label, group) ->
        kernels.add(
            new Group(
                label,
                group.kernel,
                Math.ceilDiv(group.launches, counted.size()),
                group.ms,
                group.flops / counted.size())));
    kernels.sort(Comparator.comparingDouble((Group group) -> group.ms().median()).reversed());
    return new KernelProfile(shape, List.copyOf(kernels), stepMs, counted.size());
  }

  private static final class Collected {
    private final String kernel;
    private final Samples ms = new Samples();
    private int launches;
    private double flops;

    Collected(String kernel) {
      this.kernel = kernel;
    }
  }

  private static List<List<Launch>> steps(List<Launch> launches) {
    var steps = new ArrayList<List<Launch>>();
    for (Launch launch : launches) {
      if (launch.kernel().startsWith(FIRST)) {
        steps.add(new ArrayList<>());
      }
      if (!steps.isEmpty()) {
        steps.getLast().add(launch);
      }
    }
    return steps;
  }

  /// What the products of a model are for, by their sizes.
  static final class Roles {
    private record Matrix(int n, int k) {}

    private final Map<Matrix, String> roles = new LinkedHashMap<>();

    Roles(ModelConfig config) {
      int d = config.dModel();
      int f = config.mlpHiddenSize();
      roles.put(new Matrix(d, d), "attention output");
      roles.put(new Matrix(config.qkvWidth(), d), "queries, keys, values");
      roles.put(new Matrix(2 * f, d), "gate and up");
      roles.put(new Matrix(d, f), "down");
      roles.put(new Matrix(config.embeddingSize(), d), "LM head");
    }

    /// `gate and up (gemm_bf16_bf16)`; the kernel's symbol where it is no product of the model's.
    String label(Launch launch) {
      int at = product(launch);
      return at < 0
          ? launch.kernel()
          : roles.get(matrix(launch, at)) + " (" + launch.kernel() + ")";
    }

    /// Additions and multiplications of a product; 0 of anything else, and of `head_select`, which
    /// leaves out rows that are committed already: nobody but the device knows how many it
    /// computed.
    double flops(Launch launch) {
      int at = product(launch);
      if (at < 0 || launch.kernel().startsWith("head_select")) {
        return 0;
      }
      Matrix matrix = matrix(launch, at);
      return 2.0 * launch.sizes().get(at) * matrix.n * matrix.k;
    }

    /// Where m, n and k stand among the kernel's sizes; -1 if it is no product.
    private int product(Launch launch) {
      String kernel = launch.kernel();
      if (!kernel.startsWith("gemm")
          && !kernel.startsWith("head")
          && !kernel.startsWith("cublas")) {
        return -1;
      }
      for (int i = 0; i + 2 < launch.sizes().size(); i++) {
        if (roles.containsKey(matrix(launch, i))) {
          return i;
        }
      }
      return -1;
    }

    private static Matrix matrix(Launch launch, int at) {
      return new Matrix(launch.sizes().get(at + 1), launch.sizes().get(at + 2));
    }
  }
}
