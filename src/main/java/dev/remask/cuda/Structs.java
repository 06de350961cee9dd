package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.StructLayout;

/// The C structs that calls read or write, under their C names; pointers are `JAVA_LONG`. AbiTest
/// compares size and every offset with the ABI table.
final class Structs {
  static final StructLayout CUgraphExecUpdateResultInfo =
      MemoryLayout.structLayout(
              JAVA_INT.withName("result"),
              MemoryLayout.paddingLayout(4),
              JAVA_LONG.withName("errorNode"),
              JAVA_LONG.withName("errorFromNode"))
          .withName("CUgraphExecUpdateResultInfo");

  static final StructLayout CUDA_CONDITIONAL_NODE_PARAMS =
      MemoryLayout.structLayout(
              JAVA_LONG.withName("handle"),
              JAVA_INT.withName("type"),
              JAVA_INT.withName("size"),
              JAVA_LONG.withName("phGraph_out"),
              JAVA_LONG.withName("ctx"))
          .withName("CUDA_CONDITIONAL_NODE_PARAMS");

  /// Of its union the padding that makes its size.
  static final StructLayout CUgraphNodeParams =
      MemoryLayout.structLayout(
              JAVA_INT.withName("type"),
              MemoryLayout.sequenceLayout(3, JAVA_INT).withName("reserved0"),
              MemoryLayout.sequenceLayout(29, JAVA_LONG).withName("reserved1"),
              JAVA_LONG.withName("reserved2"))
          .withName("CUgraphNodeParams");

  /// Opaque; its alignment is that of CUDA 13, drivers ask for 64.
  static final StructLayout CUtensorMap =
      MemoryLayout.structLayout(MemoryLayout.sequenceLayout(16, JAVA_LONG).withName("opaque"))
          .withByteAlignment(128)
          .withName("CUtensorMap");

  static final StructLayout cublasLtMatmulHeuristicResult_t =
      MemoryLayout.structLayout(
              MemoryLayout.sequenceLayout(64, JAVA_BYTE).withName("algo"),
              JAVA_LONG.withName("workspaceSize"),
              JAVA_INT.withName("state"),
              JAVA_FLOAT.withName("wavesCount"),
              MemoryLayout.sequenceLayout(4, JAVA_INT).withName("reserved"))
          .withName("cublasLtMatmulHeuristicResult_t");

  /// Of its unions the eight bytes.
  static final StructLayout nvtxEventAttributes_v2 =
      MemoryLayout.structLayout(
              JAVA_SHORT.withName("version"),
              JAVA_SHORT.withName("size"),
              JAVA_INT.withName("category"),
              JAVA_INT.withName("colorType"),
              JAVA_INT.withName("color"),
              JAVA_INT.withName("payloadType"),
              JAVA_INT.withName("reserved0"),
              MemoryLayout.sequenceLayout(1, JAVA_LONG).withName("payload"),
              JAVA_INT.withName("messageType"),
              MemoryLayout.paddingLayout(4),
              MemoryLayout.sequenceLayout(1, JAVA_LONG).withName("message"))
          .withName("nvtxEventAttributes_v2");

  private Structs() {}

  static long offset(StructLayout layout, String field) {
    return layout.byteOffset(PathElement.groupElement(field));
  }
}
