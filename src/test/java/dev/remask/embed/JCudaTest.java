package dev.remask.embed;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.remask.testing.ChildJvm;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// JCuda, unmodified, beside Remask: on the software device here, on a driver elsewhere. Each in a
/// JVM of its own, since a process keeps the libcuda.so.1 that it loaded first.
class JCudaTest {
  @TempDir Path folder;

  @Test
  void jcudaAlone_runsOurKernelsOnTheSoftwareDevice() {
    assertEquals("rows 8.0 9.0 10.0 11.0 0.0 1.0 2.0 3.0", run(JCudaAlone.class));
  }

  @Test
  void devicePointers_crossBothWays() {
    assertEquals("adopted 0.0 1.5 3.0, handed out 10 20 30", run(JCudaBesideRemask.class));
  }

  @Test
  void models_loadIntoJcudasContextStreamAndMemory() throws Exception {
    var config = JCudaTest.class.getResource("/golden/micro/config.json");
    assertEquals(
        "the same answer: true\nleft behind: 0\nstill JCuda's: true",
        run(RemaskInJCuda.class, Path.of(config.toURI()).getParent().toString()));
  }

  private String run(Class<?> main, String... arguments) {
    // JCuda unpacks its natives there.
    var result = new ChildJvm().property("java.io.tmpdir", folder.toString()).run(main, arguments);
    assertEquals(0, result.status(), result.output());
    return result.output().strip();
  }
}
