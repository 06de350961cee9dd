package dev.remask.cuda;

import dev.remask.testing.AbiTable;

/// Compares the NVTX functions with the ABI table.
final class NvtxBindings {
  private static final int FUNCTIONS = 5;

  private NvtxBindings() {}

  public static void main(String[] arguments) {
    AbiTable table = AbiTable.read();
    Nvtx.push("once", 1);
    Nvtx.pop();
    long checked =
        Linking.bound().entrySet().stream()
            .filter(bound -> bound.getKey().startsWith("nvtx"))
            .peek(bound -> table.check(bound.getKey(), bound.getValue()))
            .count();
    if (checked != FUNCTIONS) {
      throw new AssertionError(checked + " functions are bound: " + Linking.bound());
    }
  }
}
