package dev.remask.cuda;

import java.nio.charset.StandardCharsets;

/// The kernels `empty_1`, `empty_8` and `empty_16`, which have so many parameters and do nothing:
/// by name on the software device, from a text of PTX on a card.
///
/// The parameters are pointers, then ints, then, of 8 and 16, a float.
final class EmptyKernels {
  private static final String SOFTWARE = "REMASK-SOFTWARE-MODULE\nempty\n\0";

  private EmptyKernels() {}

  static int pointers(int arguments) {
    return switch (arguments) {
      case 1 -> 1;
      case 8 -> 4;
      case 16 -> 8;
      default -> throw new IllegalArgumentException("no empty kernel of " + arguments);
    };
  }

  static boolean hasFloat(int arguments) {
    return arguments > 1;
  }

  static String name(int arguments) {
    return "empty_" + arguments;
  }

  /// What cuModuleLoadData takes.
  static byte[] image(Device device) {
    return (device.isSoftware() ? SOFTWARE : ptx()).getBytes(StandardCharsets.US_ASCII);
  }

  private static String ptx() {
    var text = new StringBuilder(".version 7.0\n.target sm_80\n.address_size 64\n");
    for (int arguments : new int[] {1, 8, 16}) {
      text.append(".visible .entry ").append(name(arguments)).append("(\n");
      int pointers = pointers(arguments);
      for (int i = 0; i < arguments; i++) {
        boolean isFloat = hasFloat(arguments) && i == arguments - 1;
        String type = i < pointers ? ".u64" : isFloat ? ".f32" : ".u32";
        text.append("  .param ").append(type).append(" p").append(i);
        text.append(i < arguments - 1 ? ",\n" : ")\n{\n  ret;\n}\n");
      }
    }
    return text.append('\0').toString();
  }
}
