package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemorySegment;

/// A tensor in device memory and the box of it that one TMA copy moves: what a kernel parameter of
/// type [Kernel.Parameter#TENSOR_MAP] describes.
///
/// Made once for a parameter and changed from launch to launch, which allocates nothing:
///
/// ```java
/// private final TensorMap rows = TensorMap.tiled(Element.BF16, 2, Swizzle.BYTES_128);
///
/// rows.at(buffer).dimension(0, width, 64).dimension(1, count, rowBytes, 128);
/// kernel.setTensorMap(1, rows);
/// ```
///
/// The driver checks the numbers when the map is set; that they stay inside the buffer is checked
/// here. Device thread.
public final class TensorMap {
  /// The dimensions that a tensor may have.
  public static final int MAX_RANK = 5;

  /// The type of the elements.
  public enum Element {
    /// bfloat16.
    BF16(DriverConstants.CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2),
    /// IEEE 754 binary32.
    F32(DriverConstants.CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 4),
    /// 32-bit integers.
    I32(DriverConstants.CU_TENSOR_MAP_DATA_TYPE_INT32, 4);

    private final int code;
    private final int bytes;

    Element(int code, int bytes) {
      this.code = code;
      this.bytes = bytes;
    }
  }

  /// How 16-byte chunks are permuted in shared memory: within how many bytes.
  public enum Swizzle {
    /// Not at all.
    NONE(DriverConstants.CU_TENSOR_MAP_SWIZZLE_NONE),
    /// Within 32 bytes.
    BYTES_32(DriverConstants.CU_TENSOR_MAP_SWIZZLE_32B),
    /// Within 64 bytes.
    BYTES_64(DriverConstants.CU_TENSOR_MAP_SWIZZLE_64B),
    /// Within 128 bytes.
    BYTES_128(DriverConstants.CU_TENSOR_MAP_SWIZZLE_128B);

    private final int code;

    Swizzle(int code) {
      this.code = code;
    }
  }

  // What cuTensorMapEncodeTiled reads, one behind the other in scratch memory.
  private static final long DIMENSIONS = 0;
  private static final long STRIDES = DIMENSIONS + MAX_RANK * 8;
  private static final long BOX = STRIDES + (MAX_RANK - 1) * 8;
  private static final long STEPS = BOX + MAX_RANK * 4;
  static final long SCRATCH_BYTES = STEPS + MAX_RANK * 4;

  private final Element element;
  private final int rank;
  private final Swizzle swizzle;
  private final long[] elements = new long[MAX_RANK];
  private final long[] strides = new long[MAX_RANK];
  private final int[] box = new int[MAX_RANK];
  private DeviceBuffer buffer;

  private TensorMap(Element element, int rank, Swizzle swizzle) {
    this.element = element;
    this.rank = rank;
    this.swizzle = swizzle;
  }

  /// A map of `rank` dimensions, of which none has a size yet.
  ///
  /// @throws IllegalArgumentException unless rank is 1 to [#MAX_RANK]
  public static TensorMap tiled(Element element, int rank, Swizzle swizzle) {
    if (rank < 1 || rank > MAX_RANK) {
      throw new IllegalArgumentException("rank is " + rank + "; wanted 1 to " + MAX_RANK);
    }
    return new TensorMap(element, rank, swizzle);
  }

  /// Sets where the tensor begins: at the first byte of `buffer`, which must hold all of it.
  public TensorMap at(DeviceBuffer buffer) {
    this.buffer = buffer;
    return this;
  }

  /// Sets the innermost dimension, whose elements are contiguous (`index` is 0): how many elements
  /// the tensor and the box have.
  public TensorMap dimension(int index, long elements, int box) {
    if (index != 0) {
      throw new IllegalArgumentException("dimension " + index + " needs a stride");
    }
    return dimension(index, elements, element.bytes, box);
  }

  /// Sets a dimension: how many elements the tensor and the box have along it, and the bytes from
  /// one to the next.
  public TensorMap dimension(int index, long elements, long strideBytes, int box) {
    if (index < 0 || index >= rank) {
      throw new IndexOutOfBoundsException("dimension " + index + " of a tensor of rank " + rank);
    }
    this.elements[index] = elements;
    this.strides[index] = strideBytes;
    this.box[index] = box;
    return this;
  }

  DeviceBuffer buffer() {
    if (buffer == null) {
      throw new IllegalStateException(this + " has no buffer");
    }
    return buffer;
  }

  /// Writes the encoded map to `to`; `scratch` holds [#SCRATCH_BYTES], aligned to 8.
  void encode(long to, MemorySegment scratch, String what) {
    long extent = element.bytes;
    for (int i = 0; i < rank; i++) {
      if (elements[i] > 0) {
        extent += (elements[i] - 1) * strides[i];
      }
      scratch.set(JAVA_LONG, DIMENSIONS + i * 8L, elements[i]);
      if (i > 0) {
        scratch.set(JAVA_LONG, STRIDES + (i - 1) * 8L, strides[i]);
      }
      scratch.set(JAVA_INT, BOX + i * 4L, box[i]);
      scratch.set(JAVA_INT, STEPS + i * 4L, 1);
    }
    if (extent > buffer().bytes()) {
      throw new IllegalArgumentException(
          "%s: %s reaches over %d bytes; the buffer holds %d"
              .formatted(what, this, extent, buffer.bytes()));
    }
    long at = scratch.address();
    int status =
        TensorMapApi.cuTensorMapEncodeTiled(
            to,
            element.code,
            rank,
            buffer.address(),
            at + DIMENSIONS,
            at + STRIDES,
            at + BOX,
            at + STEPS,
            DriverConstants.CU_TENSOR_MAP_INTERLEAVE_NONE,
            swizzle.code,
            DriverConstants.CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
            DriverConstants.CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (status != DriverConstants.CUDA_SUCCESS) {
      throw Status.failure(status, "cuTensorMapEncodeTiled", what + ", " + this);
    }
  }

  /// Type, dimensions and box, innermost first.
  @Override
  public String toString() {
    var text = new StringBuilder("TensorMap[").append(element);
    for (int i = 0; i < rank; i++) {
      text.append(i == 0 ? " " : " x ").append(elements[i]);
      if (i > 0) {
        text.append(" every ").append(strides[i]).append(" bytes");
      }
    }
    text.append(", box");
    for (int i = 0; i < rank; i++) {
      text.append(i == 0 ? " " : " x ").append(box[i]);
    }
    return text.append(", swizzle ").append(swizzle).append(']').toString();
  }
}
