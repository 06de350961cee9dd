package dev.remask.model;

import dev.remask.kernel.DType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// Which tensors of a checkpoint go where in the weights' device memory: Q, K and V of a layer side
/// by side as one matrix, gate and up as another, so that each is one GEMM.
final class WeightLayout {
  /// Vector loads and cuBLASLt want aligned matrices.
  static final int ALIGNMENT = 256;

  private static final String PREFIX = "model.transformer.";

  /// What stood in older checkpoints and follows from config.json.
  private static final String DERIVED_SUFFIX = ".rotary_emb.inv_freq";

  /// A tensor as the checkpoint must hold it.
  record Source(String tensor, List<Long> shape) {
    long elements() {
      return shape.stream().reduce(1L, Math::multiplyExact);
    }
  }

  /// Device memory that holds the elements of its sources, one after the other; with a scale for
  /// each row behind them, if `quantized`.
  record Region(long offset, long bytes, List<Source> sources, boolean quantized) {
    /// Where the scales begin.
    long scalesOffset() {
      return offset + aligned(bytes);
    }

    /// Rows of a matrix: those of its sources.
    long rows() {
      return sources.stream().mapToLong(source -> source.shape().getFirst()).sum();
    }

    /// Columns of a matrix: the same for all of its sources.
    long columns() {
      return sources.getFirst().shape().getLast();
    }
  }

  /// The regions of one transformer block.
  record Layer(
      Region attnNorm, Region qkv, Region attnOut, Region ffNorm, Region gateUp, Region ffOut) {}

  private final DType dtype;
  private final Quantization quantization;
  private final List<Region> regions = new ArrayList<>();
  private final List<Layer> layers = new ArrayList<>();
  private final Region embedding;
  private final Region finalNorm;
  private final Region head;
  private final boolean tied;
  private long totalBytes;
  private long sourceBytes;

  WeightLayout(ModelConfig config, DType dtype, Quantization quantization) {
    this.dtype = dtype;
    this.quantization = quantization;
    this.tied = config.weightTying();
    long d = config.dModel();
    long q = (long) config.heads() * config.headDim();
    long kv = (long) config.kvHeads() * config.headDim();
    long f = config.mlpHiddenSize();
    long e = config.embeddingSize();
    embedding = region(matrix("wte", e, d));
    for (int i = 0; i < config.layers(); i++) {
      String block = "blocks." + i + ".";
      layers.add(
          new Layer(
              region(vector(block + "attn_norm", d)),
              product(
                  matrix(block + "q_proj", q, d),
                  matrix(block + "k_proj", kv, d),
                  matrix(block + "v_proj", kv, d)),
              product(matrix(block + "attn_out", d, q)),
              region(vector(block + "ff_norm", d)),
              product(matrix(block + "ff_proj", f, d), matrix(block + "up_proj", f, d)),
              product(matrix(block + "ff_out", d, f))));
    }
    finalNorm = region(vector("ln_f", d));
    head = tied ? embedding : product(matrix("ff_out", e, d));
  }

  /// Checks that a checkpoint holds exactly these tensors, in a type that can be loaded.
  void check(Path folder, SafeTensors checkpoint) {
    Set<String> known = new HashSet<>();
    for (Region region : regions) {
      for (Source source : region.sources()) {
        known.add(source.tensor());
        checkTensor(folder, source, checkpoint.tensors().get(source.tensor()));
      }
    }
    if (tied) {
      // Some writers save the shared matrix under both names.
      known.add(PREFIX + "ff_out.weight");
    }
    for (Map.Entry<String, TensorInfo> tensor : checkpoint.tensors().entrySet()) {
      // A tensor nobody asks for means another architecture: its result would be silently wrong.
      if (!known.contains(tensor.getKey()) && !tensor.getKey().endsWith(DERIVED_SUFFIX)) {
        throw ModelException.unsuitable(
            tensor.getValue().file(),
            tensor.getKey(),
            "a tensor that the model of config.json does not have",
            "the tensors of a LLaDA with these sizes");
      }
    }
  }

  private static void checkTensor(Path folder, Source wanted, TensorInfo found) {
    if (found == null) {
      throw ModelException.unsuitable(
          folder, wanted.tensor(), "missing", "a tensor of shape " + wanted.shape());
    }
    if (!found.shape().equals(wanted.shape())) {
      throw ModelException.unsuitable(
          found.file(),
          wanted.tensor(),
          "of shape " + found.shape(),
          "shape " + wanted.shape() + ", by config.json");
    }
    if (!found.type().isLoadable()) {
      throw ModelException.unsuitable(
          found.file(), wanted.tensor(), "of type " + found.type(), "BF16, F16 or F32");
    }
  }

  private static Source matrix(String name, long rows, long columns) {
    return new Source(PREFIX + name + ".weight", List.of(rows, columns));
  }

  private static Source vector(String name, long elements) {
    return new Source(PREFIX + name + ".weight", List.of(elements));
  }

  private Region region(Source... sources) {
    return region(false, sources);
  }

  /// Weights of a product.
  private Region product(Source... sources) {
    return region(quantization == Quantization.INT8, sources);
  }

  private Region region(boolean quantized, Source... sources) {
    long elements = 0;
    for (Source source : sources) {
      elements = Math.addExact(elements, source.elements());
    }
    long bytes = Math.multiplyExact(elements, quantized ? Byte.BYTES : dtype.bytes());
    var region = new Region(totalBytes, bytes, List.of(sources), quantized);
    totalBytes = Math.addExact(totalBytes, aligned(bytes));
    if (quantized) {
      totalBytes = Math.addExact(totalBytes, aligned(region.rows() * Float.BYTES));
    }
    sourceBytes += Math.multiplyExact(elements, dtype.bytes());
    regions.add(region);
    return region;
  }

  static long aligned(long bytes) {
    return Math.multiplyExact(Math.ceilDiv(bytes, ALIGNMENT), (long) ALIGNMENT);
  }

  List<Region> regions() {
    return regions;
  }

  List<Layer> layers() {
    return layers;
  }

  Region embedding() {
    return embedding;
  }

  Region finalNorm() {
    return finalNorm;
  }

  Region head() {
    return head;
  }

  /// Whether the head is the embedding.
  boolean tied() {
    return tied;
  }

  /// Whether a region is a matrix that is only multiplied by, so that its elements may lie in an
  /// order that suits that.
  boolean isForProducts(Region region) {
    return region != embedding && region.sources().getFirst().shape().size() == 2;
  }

  /// Bytes from the start of the first region to the end of the last, padding included.
  long totalBytes() {
    return totalBytes;
  }

  /// Whether there are matrices to be quantised.
  boolean quantizes() {
    return mostQuantizedColumns() > 0;
  }

  /// Columns of the widest matrix that is to be quantised; 0: there is none.
  long mostQuantizedColumns() {
    return regions.stream().filter(Region::quantized).mapToLong(Region::columns).max().orElse(0);
  }

  /// Bytes of all elements in the dtype: what is copied to the device.
  long sourceBytes() {
    return sourceBytes;
  }
}
