package dev.remask.cuda;

/// Constants of `nvToolsExt.h`, under their C names; AbiTest compares them with the ABI table.
final class NvtxConstants {
  static final int NVTX_VERSION = 3;
  static final int NVTX_PAYLOAD_TYPE_INT64 = 2;
  static final int NVTX_MESSAGE_TYPE_ASCII = 1;

  private NvtxConstants() {}
}
