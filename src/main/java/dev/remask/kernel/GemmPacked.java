package dev.remask.kernel;

import dev.remask.cuda.Context;
import dev.remask.cuda.CudaException;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Kernel.Parameter;
import dev.remask.cuda.MatmulType;
import dev.remask.cuda.Module;
import dev.remask.cuda.Stream;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;

/// Launches native/host/gemm_packed.cpp: products on the CPU, by weights that were packed once,
/// with what follows them fused.
///
/// Weights of one type X. Device thread; allocates nothing per launch. The kernels choose their
/// threads themselves.
final class GemmPacked {
  private static final String OPERATION = "gemm_packed";
  private static final String NO_SUCH_KERNEL = "CUDA_ERROR_NOT_FOUND";

  private final Kernel pack;
  private final Kernel plain;
  private final Kernel toFloats;
  private final Kernel residual;
  private final Kernel swiGlu;
  private final Kernel rope;

  private GemmPacked(Module module, DType dtype) {
    String x = dtype.name().toLowerCase(Locale.ROOT);
    pack = module.kernel("pack_weight_" + x, parameters(1, 2));
    plain = module.kernel(OPERATION + "_" + x + "_" + x, parameters(3, 3));
    toFloats =
        dtype == DType.F32 ? plain : module.kernel(OPERATION + "_bf16_f32", parameters(3, 3));
    residual = module.kernel(OPERATION + "_residual_" + x, parameters(3, 3));
    swiGlu = module.kernel(OPERATION + "_swiglu_" + x, parameters(3, 3));
    rope = module.kernel(OPERATION + "_rope_" + x, parameters(8, 8));
  }

  /// The kernels for each type of weights that the device offers them for: none anywhere but on the
  /// software device's host kernels, nor there where oneDNN is preferred.
  static Map<DType, GemmPacked> load(Context context, Function<String, Module> modules) {
    var offered = new EnumMap<DType, GemmPacked>(DType.class);
    if (context.device().spec().kind() != DeviceSpec.Kind.SOFTWARE) {
      return offered;
    }
    Module module = modules.apply(OPERATION);
    for (DType dtype : DType.values()) {
      try {
        offered.put(dtype, new GemmPacked(module, dtype));
      } catch (CudaException e) {
        if (!e.errorName().equals(NO_SUCH_KERNEL)) {
          throw e;
        }
      }
    }
    return offered;
  }

  private static Parameter[] parameters(int pointers, int sizes) {
    List<Parameter> all = new ArrayList<>(Collections.nCopies(pointers, Parameter.POINTER));
    all.addAll(Collections.nCopies(sizes, Parameter.I32));
    return all.toArray(Parameter[]::new);
  }

  /// Packs w[n, k] in place.
  void pack(Stream stream, DeviceBuffer w, int n, int k) {
    pack.set(0, w).set(1, n).set(2, k);
    launch(stream, pack);
  }

  /// out[m, n] of the type that `type` says.
  void launch(
      Stream stream, MatmulType type, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w, Shape at) {
    launch(stream, type == MatmulType.BF16_F32 ? toFloats : plain, out, a, w, at);
  }

  /// residual f32[m, n] += the product.
  void launchAdding(
      Stream stream, DeviceBuffer residualRows, DeviceBuffer a, DeviceBuffer w, Shape at) {
    launch(stream, residual, residualRows, a, w, at);
  }

  /// out X[m, n/2].
  void launchGated(Stream stream, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w, Shape at) {
    launch(stream, swiGlu, out, a, w, at);
  }

  /// Q, K and V where `qkv` says.
  void launchRotated(Stream stream, Gemm.Qkv qkv, DeviceBuffer a, DeviceBuffer w, Shape at) {
    rope.set(0, qkv.q()).set(1, qkv.keys()).set(2, qkv.values());
    rope.set(3, qkv.cosSin()).set(4, qkv.positions()).set(5, qkv.kvRowsOrNull());
    rope.set(6, a).set(7, w).set(8, at.m).set(9, at.n).set(10, at.k);
    rope.set(11, qkv.heads()).set(12, qkv.kvHeads()).set(13, qkv.headDim());
    rope.set(14, qkv.qStride()).set(15, qkv.kvStride());
    launch(stream, rope);
  }

  /// Rows and columns of the product, and what is summed over.
  record Shape(int m, int n, int k) {}

  private static void launch(
      Stream stream, Kernel kernel, DeviceBuffer out, DeviceBuffer a, DeviceBuffer w, Shape at) {
    kernel.set(0, out).set(1, a).set(2, w).set(3, at.m).set(4, at.n).set(5, at.k);
    launch(stream, kernel);
  }

  private static void launch(Stream stream, Kernel kernel) {
    kernel.launch(stream, 1, 1, 1, 1, 0);
  }
}
