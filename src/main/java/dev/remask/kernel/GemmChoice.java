package dev.remask.kernel;

import dev.remask.cuda.MatmulType;
import java.util.Locale;

/// Which kernel computes a product: the whole table, by settings and shape.
///
/// | inputs, family | rows | `auto` | `own` | `cublaslt` |
/// |---|---|---|---|---|
/// | f32, or portable kernels | any | cuBLASLt, else portable | portable | cuBLASLt |
/// | bf16, sm_80 and sm_90a | 1 to 16, 32, 64 | rows 16, 32, 64 | the same | cuBLASLt |
/// | | 65 to 256 | rows 128, K split over CTAs | the same | cuBLASLt |
/// | | more | cuBLASLt, else sm_90a, else rows 128 | rows 128 | cuBLASLt |
/// | packed weights ([Gemm#packs]) | any | packed | packed | (none are packed) |
///
/// Up to some 260 rows a product takes the time that reading its weights takes, and our kernels
/// fuse what follows it; beyond, its tensor work counts. "cuBLASLt" is where that library is found.
/// `own` promises a row the same bits whatever the number of rows, hence one family of tiles.
/// `REMASK_GEMM_KERNEL=sm_90a` puts that kernel in place of the last line's first choices, `own`
/// included (whose promise then holds above 256 rows and up to there, not across); `=sm_80` takes
/// it out.
enum GemmChoice {
  LIBRARY,
  PORTABLE,
  PACKED,
  ROWS16,
  ROWS32,
  ROWS64,
  ROWS128,
  SM90A;

  /// Most rows of a product that reading the weights bounds.
  static final int FEW_ROWS = 256;

  /// `REMASK_GEMM`, or the property `remask.gemm`.
  enum Setting {
    AUTO,
    OWN,
    CUBLASLT;

    static Setting configured() {
      String value = setting("REMASK_GEMM", "remask.gemm");
      return switch (value) {
        case "auto" -> AUTO;
        case "own" -> OWN;
        case "cublaslt" -> CUBLASLT;
        default -> throw unknown("REMASK_GEMM", value, "auto, own or cublaslt");
      };
    }
  }

  /// `REMASK_GEMM_KERNEL`, or the property `remask.gemm.kernel`: which of our kernels takes many
  /// rows where the device runs both.
  enum ManyRows {
    AUTO,
    SM80,
    SM90A;

    static ManyRows configured() {
      String value = setting("REMASK_GEMM_KERNEL", "remask.gemm.kernel");
      return switch (value) {
        case "auto" -> AUTO;
        case "sm_80" -> SM80;
        case "sm_90a" -> SM90A;
        default -> throw unknown("REMASK_GEMM_KERNEL", value, "auto, sm_80 or sm_90a");
      };
    }
  }

  private static String setting(String variable, String property) {
    String value = System.getProperty(property);
    if (value == null) {
      value = System.getenv(variable);
    }
    return value == null || value.isBlank() ? "auto" : value.strip().toLowerCase(Locale.ROOT);
  }

  private static IllegalArgumentException unknown(String variable, String value, String wanted) {
    return new IllegalArgumentException(variable + " is '" + value + "'; wanted: " + wanted);
  }

  /// The table above. `library` says whether there is a cuBLASLt that takes the product.
  static GemmChoice of(
      Setting setting,
      ManyRows manyRows,
      boolean library,
      Architecture architecture,
      MatmulType type,
      int m,
      int k) {
    if (setting == Setting.CUBLASLT) {
      return LIBRARY;
    }
    boolean useLibrary = library && setting == Setting.AUTO;
    if (architecture == Architecture.PORTABLE || type == MatmulType.F32_F32) {
      return useLibrary ? LIBRARY : PORTABLE;
    }
    if (m <= FEW_ROWS) {
      return m <= 16 ? ROWS16 : m <= 32 ? ROWS32 : m <= 64 ? ROWS64 : ROWS128;
    }
    boolean hasSm90a = architecture == Architecture.SM90A && GemmSm90a.takes(type, k);
    if (hasSm90a && manyRows == ManyRows.SM90A) {
      return SM90A;
    }
    if (useLibrary) {
      return LIBRARY;
    }
    boolean prefersSm90a = setting == Setting.AUTO && manyRows == ManyRows.AUTO;
    return hasSm90a && prefersSm90a ? SM90A : ROWS128;
  }
}
