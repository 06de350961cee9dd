// Where TMA and wgmma put the 16-byte chunks of a row: a function of the shared address alone, the
// same for both.
#pragma once

namespace remask::emulator {

// `span` is 0 (no swizzle), 32, 64 or 128 bytes: bits 4 and up of the address, log2(span / 16) of
// them, are exchanged by those from bit 7 on. `base_offset` moves the begin of the pattern in units
// of 128 bytes (descriptors of wgmma; 0 for TMA).
inline unsigned swizzled(unsigned address, unsigned span, unsigned base_offset = 0) {
  if (span == 0) return address;
  return address ^ (((address >> 7) - base_offset) & (span / 16 - 1)) << 4;
}

}  // namespace remask::emulator
