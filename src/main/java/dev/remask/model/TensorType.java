package dev.remask.model;

import java.util.Map;
import java.util.TreeMap;

/// The element types that a safetensors file may hold; only BF16, F16 and F32 are loaded as
/// weights.
public enum TensorType {
  /// A truth value in a byte.
  BOOL(8),
  /// Float of 4 bits, two in a byte.
  F4(4),
  /// Float of 6 bits: 2 of exponent, 3 of mantissa.
  F6_E2M3(6),
  /// Float of 6 bits: 3 of exponent, 2 of mantissa.
  F6_E3M2(6),
  /// Unsigned integer of 8 bits.
  U8(8),
  /// Signed integer of 8 bits.
  I8(8),
  /// Float of 8 bits: 5 of exponent, 2 of mantissa.
  F8_E5M2(8),
  /// Float of 8 bits: 4 of exponent, 3 of mantissa.
  F8_E4M3(8),
  /// As F8_E5M2, without infinities and negative zero.
  F8_E5M2FNUZ(8),
  /// As F8_E4M3, without infinities and negative zero.
  F8_E4M3FNUZ(8),
  /// A power of two: 8 bits of exponent.
  F8_E8M0(8),
  /// Signed integer of 16 bits.
  I16(16),
  /// Unsigned integer of 16 bits.
  U16(16),
  /// IEEE float of 16 bits.
  F16(16),
  /// The upper half of an F32.
  BF16(16),
  /// Signed integer of 32 bits.
  I32(32),
  /// Unsigned integer of 32 bits.
  U32(32),
  /// IEEE float of 32 bits.
  F32(32),
  /// Complex number of two F32.
  C64(64),
  /// IEEE float of 64 bits.
  F64(64),
  /// Signed integer of 64 bits.
  I64(64),
  /// Unsigned integer of 64 bits.
  U64(64);

  private static final Map<String, TensorType> BY_NAME = new TreeMap<>();

  static {
    for (TensorType type : values()) {
      BY_NAME.put(type.name(), type);
    }
  }

  private final int bits;

  TensorType(int bits) {
    this.bits = bits;
  }

  /// Bits of one element.
  public int bits() {
    return bits;
  }

  /// Whether weights of this type can be loaded.
  public boolean isLoadable() {
    return this == BF16 || this == F16 || this == F32;
  }

  /// The type of a name as it stands in a file; null if there is none.
  static TensorType named(String name) {
    return BY_NAME.get(name);
  }
}
