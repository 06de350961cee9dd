package dev.remask.bundle;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cuda.Context;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.node.ObjectNode;

/// The probes in the emulator: the same dumps under every schedule, and the layouts that the PTX
/// manual gives, computed here without any model of the emulator's.
class CalibrationTest {
  private static final int WARP = 32;
  private static final int GROUP = 128;

  /// The default of REMASK_EMULATOR_SEED.
  @AfterEach
  void restoreSchedule() {
    SoftwareDevice.setEmulatorSeed(1);
  }

  private static byte[] dump(String name) {
    Context context = TestDevices.context(TestDevices.emulator());
    var probe = Probes.all().stream().filter(p -> p.name().equals(name)).findAny().orElseThrow();
    return context.call(() -> probe.dump(context));
  }

  private static IntBuffer words(String name) {
    return ByteBuffer.wrap(dump(name)).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer();
  }

  @Test
  void dumps_dependOnNoSchedule() {
    Context context = TestDevices.context(TestDevices.emulator());
    Seed seed = Seed.fresh();
    for (Probes.Probe probe : Probes.all()) {
      SoftwareDevice.setEmulatorSeed(1);
      byte[] first = context.call(() -> probe.dump(context));
      SoftwareDevice.setEmulatorSeed(seed.random().nextLong());
      byte[] second = context.call(() -> probe.dump(context));
      assertArrayEquals(first, second, probe.name() + ", " + seed);
      assertTrue(Calibration.compare(first, second).get("status").stringValue().equals("passed"));
    }
  }

  /// kernels/probes/probe.h.
  private static int mixed(int place, int round) {
    int x = place * 0x9e3779b1 + round * 0x85ebca6b + 0x27d4eb2f;
    x = (x ^ (x >>> 15)) * 0x2c1b3c6d;
    x = (x ^ (x >>> 12)) * 0x297a2d39;
    return x ^ (x >>> 15);
  }

  private static int small(int place, int round) {
    return Integer.remainderUnsigned(mixed(place, round), 16) - 8;
  }

  /// PTX ISA 9.7.14.5.8: fragments of mma.m16n8k16.
  @Test
  void mma_hasTheFragmentsOfTheManual() {
    IntBuffer found = words("sm80-mma");
    for (int round = 0; round < 8; round++) {
      for (int lane = 0; lane < WARP; lane++) {
        for (int i = 0; i < 4; i++) {
          int row = lane / 4 + (i < 2 ? 0 : 8);
          int column = lane % 4 * 2 + i % 2;
          int sum = Integer.remainderUnsigned(mixed(lane * 4 + i, 100 + round), 1024);
          for (int k = 0; k < 16; k++) {
            // a[i]: row group + 8 for odd registers, k + 8 for the upper two
            int aLane = row % 8 * 4 + k % 8 / 2;
            int aRegister = row / 8 + 2 * (k / 8);
            int bLane = column * 4 + k % 8 / 2;
            int bRegister = k / 8;
            sum +=
                small(2 * (aLane * 4 + aRegister) + k % 2, round)
                    * small(2 * (1000 + bLane * 2 + bRegister) + k % 2, round);
          }
          int at = (round * WARP + lane) * 4 + i;
          assertEquals(sum, Float.intBitsToFloat(found.get(at)), "round " + round + " word " + at);
        }
      }
    }
  }

  /// PTX ISA 9.7.15.5.1: K-major operands under the swizzle of 128 bytes; accumulators of m64nNk16.
  @Test
  void wgmma_hasTheLayoutsOfTheManual() {
    IntBuffer found = words("sm90a-wgmma-n64-k128");
    for (int round = 0; round < 4; round++) {
      for (int thread = 0; thread < GROUP; thread++) {
        for (int i = 0; i < 32; i++) {
          int row = 16 * (thread / 32) + thread % 32 / 4 + 8 * (i / 2 % 2);
          int column = 8 * (i / 4) + 2 * (thread % 4) + i % 2;
          int sum = round % 2 == 0 ? i : 0;
          for (int k = 0; k < 16; k++) {
            sum += swizzled(0, row, round * 16 + k) * swizzled(4096, column, round * 16 + k);
          }
          int at = (round * GROUP + thread) * 32 + i;
          assertEquals(sum, Float.intBitsToFloat(found.get(at)), "round " + round + " word " + at);
        }
      }
    }
  }

  /// Element k of a row of 64, behind `firstWord`: its 16-byte chunk lies at chunk ^ row % 8.
  private static int swizzled(int firstWord, int row, int k) {
    int element = row * 64 + (k / 8 ^ row % 8) * 8 + k % 8;
    return small(2 * firstWord + element, 7);
  }

  /// The same permutation by TMA, with what lies outside the tensor filled with zeros.
  @Test
  void tma_swizzlesAsTheManualSays_andFillsWithZeros() {
    int width = 32; // words
    for (int place = 0; place < 2; place++) {
      int at0 = new int[] {40, -8}[place];
      int at1 = new int[] {17, -2}[place];
      IntBuffer found = words("sm90a-load-i32-bytes-128-" + (place == 0 ? 3 : 2));
      for (int row = 0; row < 12; row++) {
        for (int column = 0; column < width; column++) {
          int x = at0 + column;
          int y = at1 + row;
          int expected = x >= 0 && x < 56 && y >= 0 && y < 20 ? y * 64 + x : 0;
          int at = row * width + (column / 4 ^ row % 8) * 4 + column % 4;
          assertEquals(expected, found.get(at), "place " + place + ", row " + row + ", " + column);
        }
      }
    }
  }

  @Test
  void whatDiffers_isTold() {
    byte[] wanted = dump("sm80-mma");
    byte[] found = wanted.clone();
    found[13]++;
    ObjectNode result = Calibration.compare(wanted, found);
    assertEquals("failed", result.get("status").stringValue());
    assertTrue(result.get("error").stringValue().startsWith("1 words differ; word 3 is 0x"));
    assertEquals("failed", Calibration.compare(wanted, new byte[4]).get("status").stringValue());
  }
}
