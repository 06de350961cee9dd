package dev.remask.results;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.openjdk.jmh.annotations.Param;

/// Every benchmark in jmh/ has been made runnable, and what a quick run sets are their parameters.
class BenchmarkListTest {
  private static Set<String> sources() throws IOException {
    Path root = Path.of("jmh/src");
    try (var files = Files.walk(root)) {
      return files
          .filter(file -> file.toString().endsWith("Benchmark.java"))
          .map(file -> root.relativize(file).toString().replace(".java", "").replace('/', '.'))
          .collect(Collectors.toCollection(TreeSet::new));
    }
  }

  @Test
  void everyBenchmark_isInJmhsList() throws IOException {
    try (var in = getClass().getResourceAsStream("/META-INF/BenchmarkList")) {
      String list = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      for (String name : sources()) {
        assertTrue(list.contains(name), name);
      }
    }
  }

  @Test
  void quickParameters_areParametersOfSomeBenchmark() throws Exception {
    var known = new TreeSet<String>();
    for (String name : sources()) {
      for (Field field : Class.forName(name).getDeclaredFields()) {
        if (field.isAnnotationPresent(Param.class)) {
          known.add(field.getName());
        }
      }
    }
    assertEquals(Set.of(), difference(Run.quickParameters(), known));
  }

  private static Set<String> difference(Iterable<String> some, Set<String> all) {
    var missing = new TreeSet<String>();
    some.forEach(name -> {
      if (!all.contains(name)) {
        missing.add(name);
      }
    });
    return missing;
  }

  @Test
  void everyBenchmarkOfADevice_takesItByThatName() throws Exception {
    for (String name : sources()) {
      Class<?> type = Class.forName(name);
      boolean opens =
          Files.readString(Path.of("jmh/src", name.replace('.', '/') + ".java")).contains("device");
      boolean has =
          Arrays.stream(type.getDeclaredFields()).anyMatch(f -> f.getName().equals("device"));
      assertEquals(opens, has, name);
    }
  }
}
