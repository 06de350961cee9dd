package dev.remask.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.embed.FlightProbe;
import dev.remask.testing.ChildJvm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Ranges of a whole process, as a library that stands for NVIDIA's notes them.
class NvtxTest {
  private static final String NAME = "libnvtx3interop.so.1";
  private static final Path STUB = Path.of("target/native/lib/libremask-nvtx-stub.so");

  @TempDir private Path folder;

  private Path calls() {
    return folder.resolve("calls");
  }

  /// A process that answers twice in four steps each, launched one by one.
  private ChildJvm child() {
    return new ChildJvm()
        .environment("REMASK_NVTX_STUB", calls().toString())
        .environment("REMASK_LOOP", "steps")
        .environment("NVTX_INJECTION64_PATH", null)
        .environment("CUDA_INJECTION64_PATH", null);
  }

  private List<String> run(ChildJvm child) throws IOException {
    ChildJvm.Result result = child.run(FlightProbe.class);
    assertEquals(0, result.status(), result.output());
    return Files.exists(calls()) ? Files.readAllLines(calls()) : List.of();
  }

  @Test
  void loadsRunsStepsAndRequests_haveRanges() throws IOException {
    List<String> calls = run(child().environment("REMASK_NVTX", STUB.toString()));
    assertEquals("create remask", calls.getFirst());
    assertEquals(1, calls.stream().filter(call -> call.startsWith("create")).count());

    var open = new HashMap<String, Deque<String>>();
    var started = new HashMap<String, String>();
    var seen = new ArrayList<String>();
    for (String call : calls.subList(1, calls.size())) {
      String[] words = call.split(" ");
      switch (words[0]) {
        case "push" -> {
          Deque<String> ranges = open.computeIfAbsent(words[1], key -> new ArrayDeque<>());
          seen.add((ranges.isEmpty() ? "" : ranges.peek() + "/") + words[2] + " " + words[3]);
          ranges.push(words[2]);
        }
        case "pop" -> open.get(words[1]).pop();
        case "start" -> started.put(words[1], words[2]);
        case "end" -> assertEquals("request", started.remove(words[1]), call);
        default -> throw new AssertionError(call);
      }
    }
    assertTrue(started.isEmpty(), "requests end");
    open.forEach((thread, ranges) -> assertTrue(ranges.isEmpty(), () -> "open: " + ranges));
    assertEquals("load 0", seen.getFirst());
    assertEquals(2, open.size(), "the caller's thread and the device's");
    List<String> run = List.of("run 1", "run/step 0", "run/step 1", "run/step 2", "run/step 3");
    var expected = new ArrayList<String>(List.of("load 0"));
    expected.addAll(run);
    expected.addAll(run);
    assertEquals(expected, seen);
  }

  @Test
  void library_isLookedFor_whereAToolHasAnnouncedItself() throws IOException {
    Files.createSymbolicLink(folder.resolve(NAME), STUB.toAbsolutePath());
    String path = folder.toString();
    assertEquals(List.of(), run(child().environment("LD_LIBRARY_PATH", path)));
    List<String> calls =
        run(
            child()
                .environment("LD_LIBRARY_PATH", path)
                .environment("NVTX_INJECTION64_PATH", "/of/a/tool.so"));
    assertEquals("create remask", calls.getFirst());
  }

  @Test
  void switchedOff_thereAreNoRanges() throws IOException {
    Files.createSymbolicLink(folder.resolve(NAME), STUB.toAbsolutePath());
    List<String> calls =
        run(
            child()
                .environment("LD_LIBRARY_PATH", folder.toString())
                .environment("REMASK_NVTX", "off")
                .environment("NVTX_INJECTION64_PATH", "/of/a/tool.so"));
    assertEquals(List.of(), calls);
  }

  @ParameterizedTest
  @ValueSource(strings = {"/no/such/library.so", "/lib/x86_64-linux-gnu/libc.so.6", "yes"})
  void aNamedFileThatIsNoLibraryOfNvtx_isRefused(String setting) {
    ChildJvm.Result result = child().environment("REMASK_NVTX", setting).run(FlightProbe.class);
    assertNotEquals(0, result.status(), result.output());
    assertTrue(
        result.output().contains("REMASK_NVTX=" + setting + " is no NVTX library"),
        result.output());
    assertFalse(Files.exists(calls()));
  }

  @Test
  void unused_nothingIsBound() {
    Nvtx.push("nobody looks", 0);
    Nvtx.pop();
    Nvtx.end(Nvtx.start("nobody looks"));
    assertFalse(Linking.bound().containsKey("nvtxDomainRangePushEx"));
  }

  /// The binding itself, against the ABI table: in a process of its own, as there is a library.
  @Test
  void bindings_haveTheParametersOfTheHeader() {
    ChildJvm.Result result =
        new ChildJvm().environment("REMASK_NVTX", STUB.toString()).run(NvtxBindings.class);
    assertEquals(0, result.status(), result.output());
  }
}
