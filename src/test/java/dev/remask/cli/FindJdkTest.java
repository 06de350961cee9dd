package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cli.ShellScripts.Outcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// `.mvn/find-jdk.sh` among folders that pass for JDKs.
class FindJdkTest {
  @TempDir Path folder;
  private Path tools;
  private Path roots;

  /// An old Java is first on the path, so that the machine's own is never found.
  @BeforeEach
  void putAnOldJavaOnThePath() throws IOException {
    tools = ShellScripts.fakeJdk(folder.resolve("old"), "17.0.2", "old").resolve("bin");
    roots = Files.createDirectories(folder.resolve("roots"));
  }

  private Outcome find(Map<String, String> more) throws IOException, InterruptedException {
    Map<String, String> environment = new HashMap<>(more);
    environment.put("REMASK_JDK_ROOTS", roots.toString());
    String script = ShellScripts.project().resolve(".mvn/find-jdk.sh").toString();
    return ShellScripts.run(folder, tools, environment, List.of("sh", script));
  }

  private Path jdk(String name, String version) throws IOException {
    return ShellScripts.fakeJdk(roots.resolve(name), version, name);
  }

  private static void assertFound(Path home, Outcome outcome) {
    assertEquals(new Outcome(0, home + "\n"), outcome);
  }

  @Test
  void ofInstalledOnes_twentyFiveIsPreferredThenTheOldestNewer() throws Exception {
    Path newest = jdk("a 27", "27.0.1");
    assertFound(newest, find(Map.of()));
    Path newer = jdk("b 26", "26");
    assertFound(newer, find(Map.of()));
    jdk("c21", "21.0.9");
    assertFound(newer, find(Map.of()));
    jdk("d25", "25.0.3");
    Path best = jdk("e25", "25.0.12");
    assertFound(best, find(Map.of()));
  }

  @Test
  void javaHome_isTakenIfItIsNewEnough() throws Exception {
    Path installed = jdk("installed", "25.0.3");
    Path home = ShellScripts.fakeJdk(folder.resolve("home"), "26.0.1", "home");
    assertFound(home, find(Map.of("JAVA_HOME", home.toString())));
    assertFound(installed, find(Map.of("JAVA_HOME", folder.resolve("old").toString())));
    assertFound(installed, find(Map.of("JAVA_HOME", folder.resolve("missing").toString())));
  }

  @Test
  void javaOnThePath_isFoundThroughLinks() throws Exception {
    jdk("installed", "25.0.3");
    Path home = ShellScripts.fakeJdk(folder.resolve("home"), "25.0.4", "home");
    tools = Files.createDirectories(folder.resolve("links"));
    Files.createSymbolicLink(tools.resolve("java"), home.resolve("bin/java"));
    assertFound(home, find(Map.of()));
  }

  @Test
  void ownVariable_goesFirstAndMustBeRight() throws Exception {
    Path own = ShellScripts.fakeJdk(folder.resolve("own"), "25.0.3", "own");
    Path home = ShellScripts.fakeJdk(folder.resolve("home"), "26.0.1", "home");
    Map<String, String> both = Map.of("REMASK_JAVA_HOME", own.toString(), "JAVA_HOME", home + "");
    assertFound(own, find(both));
    Outcome wrong = find(Map.of("REMASK_JAVA_HOME", folder.resolve("old") + ""));
    assertEquals(3, wrong.status());
    assertTrue(wrong.output().contains("REMASK_JAVA_HOME"), wrong.output());
  }

  @Test
  void runtimeWithoutCompiler_doesNotCount() throws Exception {
    Path runtime = jdk("jre", "25.0.3");
    Files.delete(runtime.resolve("bin/javac"));
    assertEquals(3, find(Map.of()).status());
  }

  @Test
  void none_saysWhatToInstall() throws Exception {
    Outcome outcome = find(Map.of());
    assertEquals(3, outcome.status());
    assertEquals(1, outcome.output().lines().count(), outcome.output());
    assertTrue(outcome.output().contains("no JDK 25"), outcome.output());
  }

  @Test
  void below25_0_3_warnsOnce() throws Exception {
    Path old = jdk("early", "25.0.2");
    Outcome warned = find(Map.of());
    assertTrue(warned.output().startsWith("remask: warning: "), warned.output());
    assertTrue(warned.output().contains("25.0.3"), warned.output());
    assertFound(old, find(Map.of("REMASK_JDK_WARNED", "1")));
  }

  @Test
  void mavenWrapper_sourcesTheScript() throws IOException {
    String wrapper = Files.readString(ShellScripts.project().resolve("mvnw"));
    assertTrue(
        wrapper.lines().anyMatch(l -> l.startsWith(". ") && l.contains(".mvn/find-jdk.sh")),
        "an upgrade of the wrapper has lost the line that finds the JDK");
  }
}
