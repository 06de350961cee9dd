package dev.remask.embed;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.ChildJvm;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/// What a process that embeds Remask has to put up with: its threads while models are open, and
/// nothing at all afterwards. Each in a JVM of its own.
class ProcessHygieneTest {
  /// A load that leaves 64 KB behind would show.
  private static final long GROWTH_BYTES = 200 * (64L << 10);

  /// Pages of the Java heap and of compiled code are there from the start, so that what grows is
  /// not the JVM's.
  private static final String[] STEADY_JVM = {
    "-Xms96m", "-Xmx96m", "-XX:+AlwaysPreTouch", "-XX:TieredStopAtLevel=1"
  };

  private static String micro() throws Exception {
    var config = ProcessHygieneTest.class.getResource("/golden/micro/config.json");
    return Path.of(config.toURI()).getParent().toString();
  }

  @Test
  void threads_areThereWhileAModelIsOpenAndNamed() throws Exception {
    var result =
        new ChildJvm().environment("REMASK_THREADS", "2").run(ThreadsOfAModel.class, micro());
    assertEquals(0, result.status(), result.output());
    List<String> lines = result.output().lines().toList();
    List<String> before = threads(lines.get(0));
    assertTrue(before.stream().noneMatch(name -> name.startsWith("remask")), result.output());
    List<String> one = added(before, threads(lines.get(1)));
    assertTrue(one.contains("remask-device-0"), result.output());
    assertTrue(one.stream().allMatch(name -> name.startsWith("remask-")), result.output());
    // What the software device tells of itself, which `info` lists, is what is there.
    List<String> told = new ArrayList<>(threads(lines.get(2)));
    told.add("remask-device-0");
    assertEquals(told.stream().sorted().toList(), one.stream().distinct().toList());
    List<String> two = added(before, threads(lines.get(3)));
    assertTrue(two.contains("remask-device-1"), result.output());
    assertTrue(two.stream().allMatch(name -> name.startsWith("remask-")), result.output());
    assertEquals(one, added(before, threads(lines.get(4))), "those of the closed model are gone");
    assertEquals(List.of(), added(before, threads(lines.get(5))), "and of both");
  }

  private static List<String> threads(String line) {
    return Stream.of(line.replaceAll("^.*\\[|\\]$", "").split(", ")).sorted().toList();
  }

  /// The JVM starts and ends compiler threads as it likes: those are not counted.
  private static List<String> added(List<String> before, List<String> now) {
    var added = new ArrayList<>(now);
    before.forEach(added::remove);
    added.removeIf(name -> name.matches("C[12] Compiler.*"));
    return added;
  }

  @Test
  void loadingAndUnloading200Times_leavesNothing() throws Exception {
    var result =
        new ChildJvm()
            .options(STEADY_JVM)
            .environment("REMASK_THREADS", "2")
            .run(LoadAndUnload.class, micro());
    assertEquals(0, result.status(), result.output());
    long[][] held =
        result
            .output()
            .lines()
            .map(line -> Arrays.stream(line.split(" ")).mapToLong(Long::parseLong).toArray())
            .toArray(long[][]::new);
    assertArrayEquals(new long[] {0, 0}, Arrays.copyOf(held[0], 2), result.output());
    assertArrayEquals(new long[] {0, 0}, Arrays.copyOf(held[1], 2), result.output());
    assertEquals(held[0][2], held[1][2], "open files");
    long grown = held[1][3] - held[0][3];
    assertTrue(grown < GROWTH_BYTES, "200 loads took " + grown + " bytes: " + result.output());
  }
}
