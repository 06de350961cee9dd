package dev.remask.bundle;

import static dev.remask.cuda.Kernel.Parameter.I32;
import static dev.remask.cuda.Kernel.Parameter.POINTER;
import static dev.remask.cuda.Kernel.Parameter.TENSOR_MAP;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceBuffer;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.Kernel;
import dev.remask.cuda.Module;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.cuda.TensorMap;
import dev.remask.cuda.TensorMap.Element;
import dev.remask.cuda.TensorMap.Swizzle;
import dev.remask.kernel.Architecture;
import dev.remask.testing.DeviceData;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/// The probes of `kernels/probes` and how each is launched.
final class Probes {
  private static final String SM80 = "calibrate_sm80";
  private static final String SM90A = "calibrate_sm90a";
  private static final int WARP = 32;
  private static final int GROUP = 128;

  /// Shared memory of the probes of wgmma: A and B.
  private static final int MATRIX_BYTES = (4096 + 16_384) * Integer.BYTES;

  /// Shared memory before a probed copy's data.
  private static final int BARRIER_BYTES = 1024;

  /// A kernel's run: what it leaves behind, as bytes.
  interface Body {
    byte[] run(Run run);
  }

  record Probe(String name, Architecture family, String module, Body body) {
    /// Device thread.
    byte[] dump(Context context) {
      try (var run = new Run(context, module)) {
        return body.run(run);
      }
    }
  }

  /// What a body launches with.
  static final class Run implements AutoCloseable {
    private final Context context;
    private final Stream stream;
    private final Module module;
    private final List<DeviceMemory> memories = new ArrayList<>();

    Run(Context context, String module) {
      this.context = context;
      stream = context.newStream();
      this.module = context.loadModule(module);
    }

    /// Memory whose words are their own index.
    DeviceBuffer words(int count) {
      var values = new int[count];
      Arrays.setAll(values, i -> i);
      return keep(DeviceData.i32(context, stream, values));
    }

    DeviceBuffer empty(int count) {
      return keep(DeviceData.i32(context, stream, new int[count]));
    }

    private DeviceBuffer keep(DeviceMemory memory) {
      memories.add(memory);
      return memory.buffer();
    }

    Kernel kernel(String name, Kernel.Parameter... parameters) {
      return module.kernel(name, parameters);
    }

    byte[] launch(Kernel kernel, int blocks, int threads, int sharedBytes, DeviceBuffer out) {
      kernel.launch(stream, blocks, 1, 1, threads, sharedBytes);
      try (PinnedMemory staging = context.allocatePinned(out.bytes())) {
        stream.copyToHost(staging, 0, out, out.bytes());
        stream.synchronize();
        var bytes = new byte[(int) out.bytes()];
        staging.buffer().get(0, bytes);
        return bytes;
      }
    }

    @Override
    public void close() {
      memories.forEach(DeviceMemory::close);
      module.close();
      stream.close();
    }
  }

  private final List<Probe> probes = new ArrayList<>();

  private Probes() {}

  static List<Probe> all() {
    var all = new Probes();
    all.sm80("mma", 8 * WARP * 4, WARP, 0);
    all.sm80("ldmatrix", 8 * WARP * 12, WARP, 512 * Integer.BYTES);
    all.add(
        "sm80-cp-async",
        Architecture.SM80,
        SM80,
        run -> {
          DeviceBuffer out = run.empty(256);
          Kernel kernel = run.kernel("calibrate_cp_async_sm80", POINTER, POINTER);
          kernel.set(0, out).set(1, run.words(256));
          return run.launch(kernel, 1, 64, 256 * Integer.BYTES, out);
        });
    all.sm90a("stmatrix", 2 * 512, WARP, 512 * Integer.BYTES);
    all.wgmma("n64_k128", 64, 4);
    all.wgmma("n64_k64", 64, 2);
    all.wgmma("n64_k32", 64, 1);
    all.wgmma("n64_none", 64, 1);
    all.wgmma("n128", 128, 4);
    all.wgmma("n256", 256, 2);
    all.wgmma("n64_trans", 64, 4);
    all.wgmma("n128_trans", 128, 4);
    all.wgmma("n176", 176, 4);
    all.wgmma("n192", 192, 4);
    all.wgmma("registers", 64, 4);
    all.wgmma("registers_n64_trans", 64, 4);
    all.wgmma("registers_n128_trans", 128, 4);
    all.boxes();
    all.add(
        "sm90a-bulk",
        Architecture.SM90A,
        SM90A,
        run -> {
          DeviceBuffer out = run.empty(256);
          Kernel kernel = run.kernel("calibrate_bulk_sm90a", POINTER, POINTER);
          kernel.set(0, out).set(1, run.words(128));
          return run.launch(kernel, 1, WARP, BARRIER_BYTES + 1024, out);
        });
    return List.copyOf(all.probes);
  }

  private void add(String name, Architecture family, String module, Body body) {
    probes.add(new Probe(name, family, module, body));
  }

  private void sm80(String name, int words, int threads, int sharedBytes) {
    String kernel = "calibrate_" + name + "_sm80";
    add("sm80-" + name, Architecture.SM80, SM80, plain(kernel, words, threads, sharedBytes));
  }

  private void sm90a(String name, int words, int threads, int sharedBytes) {
    String kernel = "calibrate_" + name + "_sm90a";
    add(
        "sm90a-" + name.replace('_', '-'),
        Architecture.SM90A,
        SM90A,
        plain(kernel, words, threads, sharedBytes));
  }

  private void wgmma(String name, int n, int rounds) {
    sm90a("wgmma_" + name, rounds * GROUP * n / 2, GROUP, MATRIX_BYTES);
  }

  private static Body plain(String name, int words, int threads, int sharedBytes) {
    return run -> {
      DeviceBuffer out = run.empty(words);
      Kernel kernel = run.kernel(name, POINTER).set(0, out);
      return run.launch(kernel, 1, threads, sharedBytes, out);
    };
  }

  /// TMA copies: every swizzle in two dimensions, inside the tensor and over each of its edges;
  /// every rank; elements of 2 and 4 bytes; a store and a multicast of each swizzle.
  private void boxes() {
    for (Swizzle swizzle : Swizzle.values()) {
      String suffix = swizzle.name().toLowerCase(Locale.ROOT).replace('_', '-');
      int[][] places = {{0, 0}, {8, 3}, {-8, -2}, {40, 17}, {-64, 0}, {64, 30}};
      for (Element element : List.of(Element.BF16, Element.I32)) {
        String name = "sm90a-load-" + element.name().toLowerCase(Locale.ROOT) + "-" + suffix;
        for (int i = 0; i < places.length; i++) {
          int[] at = places[i];
          add(
              name + "-" + i,
              Architecture.SM90A,
              SM90A,
              run -> loadTwo(run, element, swizzle, at[0], at[1]));
        }
      }
      add("sm90a-store-" + suffix, Architecture.SM90A, SM90A, run -> store(run, swizzle));
      add("sm90a-multicast-" + suffix, Architecture.SM90A, SM90A, run -> multicast(run, swizzle));
    }
    for (int rank = 1; rank <= TensorMap.MAX_RANK; rank++) {
      int dimensions = rank;
      add("sm90a-load-rank-" + rank, Architecture.SM90A, SM90A, run -> loadRank(run, dimensions));
    }
  }

  /// 20 rows of 56 elements, 64 apart; the box as wide as the swizzle and 12 rows high.
  private static TensorMap rows(DeviceBuffer buffer, Element element, Swizzle swizzle) {
    int bytes = element == Element.BF16 ? 2 : 4;
    return TensorMap.tiled(element, 2, swizzle)
        .at(buffer)
        .dimension(0, 56, width(swizzle) / bytes)
        .dimension(1, 20, 64L * bytes, 12);
  }

  /// Bytes of a row of the box.
  private static int width(Swizzle swizzle) {
    return switch (swizzle) {
      case NONE -> 48;
      case BYTES_32 -> 32;
      case BYTES_64 -> 64;
      case BYTES_128 -> 128;
    };
  }

  private static byte[] loadTwo(Run run, Element element, Swizzle swizzle, int at0, int at1) {
    int bytes = 12 * width(swizzle);
    TensorMap map = rows(run.words(20 * 64), element, swizzle);
    return load(run, map, 2, new int[] {at0, at1, 0, 0, 0}, bytes);
  }

  /// A box of 3 along every outer dimension of a tensor of 4, from 2 on: the last is outside.
  private static byte[] loadRank(Run run, int rank) {
    TensorMap map = TensorMap.tiled(Element.I32, rank, Swizzle.NONE);
    map.at(run.words(8 * 256)).dimension(0, 8, 8);
    int bytes = 8 * Integer.BYTES;
    long stride = 8 * Integer.BYTES;
    for (int i = 1; i < rank; i++) {
      map.dimension(i, 4, stride, 3);
      stride *= 4;
      bytes *= 3;
    }
    return load(run, map, rank, new int[] {rank == 1 ? 4 : 0, 2, 2, 2, 2}, bytes);
  }

  private static byte[] load(Run run, TensorMap map, int rank, int[] at, int bytes) {
    DeviceBuffer out = run.empty(bytes / Integer.BYTES);
    Kernel kernel =
        run.kernel(
            "calibrate_load" + rank + "_sm90a", TENSOR_MAP, POINTER, I32, I32, I32, I32, I32, I32);
    kernel.setTensorMap(0, map).set(1, out);
    for (int i = 0; i < at.length; i++) {
      kernel.set(2 + i, at[i]);
    }
    kernel.set(7, bytes);
    return run.launch(kernel, 1, WARP, BARRIER_BYTES + bytes, out);
  }

  private static byte[] store(Run run, Swizzle swizzle) {
    DeviceBuffer tensor = run.empty(20 * 64);
    Kernel kernel = run.kernel("calibrate_store_sm90a", TENSOR_MAP, I32, I32, I32);
    int bytes = 12 * width(swizzle);
    // Over the end of both dimensions: what lies outside must not be written.
    kernel.setTensorMap(0, rows(tensor, Element.I32, swizzle)).set(1, 48).set(2, 13).set(3, bytes);
    return run.launch(kernel, 1, WARP, bytes, tensor);
  }

  private static byte[] multicast(Run run, Swizzle swizzle) {
    int bytes = 12 * width(swizzle);
    DeviceBuffer out = run.empty(2 * bytes / Integer.BYTES);
    Kernel kernel = run.kernel("calibrate_multicast_sm90a", TENSOR_MAP, POINTER, I32, I32, I32);
    kernel.setTensorMap(0, rows(run.words(20 * 64), Element.I32, swizzle)).set(1, out);
    kernel.set(2, 4).set(3, 15).set(4, bytes);
    return run.launch(kernel, 2, WARP, BARRIER_BYTES + bytes, out);
  }
}
