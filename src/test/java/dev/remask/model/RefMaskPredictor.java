package dev.remask.model;

import dev.remask.kernel.DType;
import dev.remask.testing.Bf16;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;

/// The forward pass once more, written plainly in double: what the kernels' result is held against.
///
/// One sequence at a time, no fusing, no packing; keys and values of positions that are not
/// computed come from a cache. Formulas: ML-GSAI/LLaDA, modeling_llada.py.
final class RefMaskPredictor {
  private final ModelConfig config;
  private final Path folder;
  private final DType dtype;
  private final Rounding rounding;

  /// What is rounded to the dtype besides the weights: the error that the dtype brings by itself,
  /// however exact the arithmetic.
  enum Rounding {
    NONE,
    /// Whatever the runtime stores in its dtype, operation by operation.
    COMPOSED,
    /// The same where products are fused with what follows them, so that their sums are not stored.
    PRODUCTS_FUSED,
    /// The same where attention, too, multiplies V with weights in the dtype, as tensor cores want
    /// them.
    FUSED
  }

  /// Exact but for the weights, which are rounded to `dtype` as the runtime rounds them at load.
  RefMaskPredictor(Path folder, DType dtype) {
    this(folder, dtype, Rounding.NONE);
  }

  /// With the weights rounded to `dtype`, and what `rounding` says.
  RefMaskPredictor(Path folder, DType dtype, Rounding rounding) {
    this.folder = folder;
    this.config = ModelConfig.read(folder);
    this.dtype = dtype;
    this.rounding = rounding;
  }

  /// Keys and values of a sequence's positions, [layers][length][kvHeads · headDim] each: those
  /// that were computed last, NaN where none were.
  final class Cache {
    private final double[][][] keys;
    private final double[][][] values;

    Cache(int length) {
      int width = config.kvHeads() * config.headDim();
      keys = new double[config.layers()][length][width];
      values = new double[config.layers()][length][width];
      for (double[][][] all : new double[][][][] {keys, values}) {
        for (double[][] layer : all) {
          for (double[] row : layer) {
            Arrays.fill(row, Double.NaN);
          }
        }
      }
    }
  }

  /// Logits [T, E] of a sequence.
  double[][] forward(int[] ids) {
    return forward(ids, 0, new Cache(ids.length));
  }

  /// Logits [T, E] of the positions from `first` on, which hold `ids`, where the keys and values of
  /// the other positions are the cache's.
  double[][] forward(int[] ids, int first, Cache cache) {
    try (var checkpoint = SafeTensors.open(folder)) {
      int d = config.dModel();
      double[] embedding = weight(checkpoint, "wte");
      var x = new double[ids.length][d];
      for (int t = 0; t < ids.length; t++) {
        System.arraycopy(embedding, ids[t] * d, x[t], 0, d);
      }
      for (int layer = 0; layer < config.layers(); layer++) {
        block(
            checkpoint, "blocks." + layer + ".", x, first, cache.keys[layer], cache.values[layer]);
      }
      double[][] last = norm(x, weight(checkpoint, "ln_f"));
      double[] head = config.weightTying() ? embedding : weight(checkpoint, "ff_out");
      return multiply(last, head, config.embeddingSize());
    }
  }

  private void block(
      SafeTensors checkpoint,
      String block,
      double[][] x,
      int first,
      double[][] keys,
      double[][] values) {
    int headDim = config.headDim();
    double[][] n = norm(x, weight(checkpoint, block + "attn_norm"));
    int qWidth = config.heads() * headDim;
    int kvWidth = config.kvHeads() * headDim;
    double[][] q = product(multiply(n, weight(checkpoint, block + "q_proj"), qWidth));
    double[][] k = product(multiply(n, weight(checkpoint, block + "k_proj"), kvWidth));
    double[][] v = stored(multiply(n, weight(checkpoint, block + "v_proj"), kvWidth));
    rotate(q, first);
    rotate(k, first);
    stored(q);
    stored(k);
    System.arraycopy(k, 0, keys, first, k.length);
    System.arraycopy(v, 0, values, first, v.length);
    double[][] attended = attention(q, keys, values);
    add(x, product(multiply(attended, weight(checkpoint, block + "attn_out"), config.dModel())));
    n = norm(x, weight(checkpoint, block + "ff_norm"));
    int f = config.mlpHiddenSize();
    double[][] gate = product(multiply(n, weight(checkpoint, block + "ff_proj"), f));
    double[][] up = product(multiply(n, weight(checkpoint, block + "up_proj"), f));
    for (int t = 0; t < x.length; t++) {
      for (int i = 0; i < f; i++) {
        gate[t][i] = gate[t][i] / (1 + Math.exp(-gate[t][i])) * up[t][i];
      }
    }
    stored(gate);
    add(x, product(multiply(gate, weight(checkpoint, block + "ff_out"), config.dModel())));
  }

  private double[][] attention(double[][] q, double[][] k, double[][] v) {
    int headDim = config.headDim();
    int group = config.heads() / config.kvHeads();
    var out = new double[q.length][config.heads() * headDim];
    for (int head = 0; head < config.heads(); head++) {
      int from = head * headDim;
      int keyFrom = head / group * headDim;
      for (int t = 0; t < q.length; t++) {
        var weights = new double[k.length];
        double max = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < k.length; j++) {
          for (int i = 0; i < headDim; i++) {
            weights[j] += q[t][from + i] * k[j][keyFrom + i];
          }
          weights[j] /= Math.sqrt(headDim);
          max = Math.max(max, weights[j]);
        }
        double sum = 0;
        for (int j = 0; j < k.length; j++) {
          weights[j] = Math.exp(weights[j] - max);
          sum += weights[j];
          if (rounding == Rounding.FUSED) {
            weights[j] = rounded(weights[j]);
          }
        }
        for (int j = 0; j < k.length; j++) {
          for (int i = 0; i < headDim; i++) {
            out[t][from + i] += weights[j] / sum * v[j][keyFrom + i];
          }
        }
      }
    }
    return stored(out);
  }

  /// Rotates first half with second half of each head.
  private void rotate(double[][] heads, int first) {
    int headDim = config.headDim();
    int half = headDim / 2;
    for (int t = 0; t < heads.length; t++) {
      for (int from = 0; from < heads[t].length; from += headDim) {
        for (int i = 0; i < half; i++) {
          double angle = (first + t) * Math.pow(config.ropeTheta(), -2.0 * i / headDim);
          double a = heads[t][from + i];
          double b = heads[t][from + half + i];
          heads[t][from + i] = a * Math.cos(angle) - b * Math.sin(angle);
          heads[t][from + half + i] = b * Math.cos(angle) + a * Math.sin(angle);
        }
      }
    }
  }

  private double[][] norm(double[][] x, double[] weight) {
    var out = new double[x.length][weight.length];
    for (int t = 0; t < x.length; t++) {
      double squares = 0;
      for (double value : x[t]) {
        squares += value * value;
      }
      double scale = 1 / Math.sqrt(squares / weight.length + config.rmsNormEps());
      for (int i = 0; i < weight.length; i++) {
        out[t][i] = x[t][i] * scale * weight[i];
      }
    }
    return stored(out);
  }

  /// a [T, k] times the transpose of w [n, k].
  private static double[][] multiply(double[][] a, double[] w, int n) {
    int k = a[0].length;
    var out = new double[a.length][n];
    for (int t = 0; t < a.length; t++) {
      for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int i = 0; i < k; i++) {
          sum += a[t][i] * w[j * k + i];
        }
        out[t][j] = sum;
      }
    }
    return out;
  }

  private static void add(double[][] x, double[][] delta) {
    for (int t = 0; t < x.length; t++) {
      for (int i = 0; i < x[t].length; i++) {
        x[t][i] += delta[t][i];
      }
    }
  }

  /// Rounds in place what the runtime stores in its dtype. f32 by comparison loses nothing.
  private double[][] stored(double[][] x) {
    if (rounding != Rounding.NONE) {
      for (double[] row : x) {
        for (int i = 0; i < row.length; i++) {
          row[i] = rounded(row[i]);
        }
      }
    }
    return x;
  }

  /// The same for products that an operation follows with which they may be fused.
  private double[][] product(double[][] x) {
    return rounding == Rounding.COMPOSED ? stored(x) : x;
  }

  private double rounded(double x) {
    return dtype == DType.BF16 ? Bf16.round((float) x) : x;
  }

  private double[] weight(SafeTensors checkpoint, String name) {
    String tensor = "model.transformer." + name + ".weight";
    TensorInfo info = checkpoint.tensors().get(tensor);
    int count = Math.toIntExact(info.bytes() * 8 / info.type().bits());
    MemorySegment rounded = MemorySegment.ofArray(new byte[count * dtype.bytes()]);
    Conversion.convert(checkpoint.data(tensor), info.type(), rounded, dtype, count);
    var values = new double[count];
    for (int i = 0; i < count; i++) {
      values[i] =
          dtype == DType.F32
              ? rounded.get(ValueLayout.JAVA_FLOAT_UNALIGNED, i * 4L)
              : Float.intBitsToFloat(rounded.get(ValueLayout.JAVA_SHORT_UNALIGNED, i * 2L) << 16);
    }
    return values;
  }
}
