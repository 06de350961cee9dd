package dev.remask.cli;

import static java.nio.file.StandardCopyOption.REPLACE_EXISTING;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.cli.ShellScripts.Outcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// `./remask` in a copy of the project that holds nothing but it, with a Maven and a Java that only
/// note what they are asked for.
class LauncherTest {
  @TempDir Path folder;
  private Path project;
  private Path tools;
  private Path builds;

  @BeforeEach
  void copyTheLauncher() throws IOException {
    project = Files.createDirectories(folder.resolve("the project"));
    builds = folder.resolve("builds");
    for (String source : List.of("src/main/java", "native", "kernels", ".mvn")) {
      Files.createDirectories(project.resolve(source));
    }
    Files.writeString(project.resolve("pom.xml"), "<project/>");
    Files.writeString(project.resolve("src/main/java/A.java"), "");
    for (String file : List.of("remask", ".mvn/find-jdk.sh", ".mvn/java-options.sh")) {
      Files.copy(ShellScripts.project().resolve(file), project.resolve(file));
    }
    maven("touch target/remask-1.jar; printf %s \"$PWD/pom.xml\" >target/remask.classpath");
    tools = ShellScripts.fakeJdk(folder.resolve("jdk"), "25.0.3", "JAVA").resolve("bin");
    ShellScripts.script(tools.resolve("cmake"), "");
    ShellScripts.script(tools.resolve("g++"), "");
    age();
  }

  /// What the build shall do, after it is counted.
  private void maven(String body) throws IOException {
    ShellScripts.script(project.resolve("mvnw"), "echo \"$*\" >>'" + builds + "'\n" + body);
  }

  /// Makes all sources older than anything that is built from now on.
  private void age() throws IOException {
    FileTime past = FileTime.from(Instant.parse("2020-01-01T00:00:00Z"));
    try (var files = Files.walk(project)) {
      for (Path file : files.toList()) {
        Files.setLastModifiedTime(file, past);
      }
    }
  }

  private Outcome launch(Path launcher, String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of(launcher.toString()));
    command.addAll(List.of(arguments));
    return ShellScripts.run(folder, tools, Map.of(), command);
  }

  private long buildsDone() throws IOException {
    return Files.exists(builds) ? Files.readAllLines(builds).size() : 0;
  }

  @Test
  void buildsOnFirstUse_thenRunsJavaOnTheClassPath() throws Exception {
    Outcome first = launch(project.resolve("remask"), "generate", "two words");
    assertEquals(0, first.status(), first.output());
    assertTrue(first.output().startsWith("remask: building Remask (first use"), first.output());
    assertTrue(
        first.output().contains("[dev.remask.cli.Main]\n[generate]\n[two words]\n"),
        first.output());
    assertTrue(
        first.output().contains("[" + project + "/target/remask-1.jar:" + project + "/pom.xml]"),
        first.output());
    assertTrue(first.output().contains("[--enable-native-access=ALL-UNNAMED]"), first.output());
    assertEquals(1, buildsDone());
    assertTrue(Files.readString(builds).contains("-Pquick"), Files.readString(builds));

    Outcome second = launch(project.resolve("remask"), "info");
    assertTrue(second.output().startsWith("JAVA\n"), second.output());
    assertEquals(1, buildsDone());
  }

  @Test
  void newerSources_areBuiltAgain() throws Exception {
    launch(project.resolve("remask"));
    Files.setLastModifiedTime(
        project.resolve("src/main/java/A.java"), FileTime.from(Instant.now().plusSeconds(60)));
    Outcome outcome = launch(project.resolve("remask"));
    assertTrue(outcome.output().startsWith("remask: sources have changed"), outcome.output());
    assertEquals(2, buildsDone());
  }

  @Test
  void libraryThatIsGone_isFetchedAgain() throws Exception {
    maven(
        "touch target/remask-1.jar; touch lib.jar; printf %s \"$PWD/lib.jar\" "
            + ">target/remask.classpath");
    age();
    launch(project.resolve("remask"));
    Files.delete(project.resolve("lib.jar"));
    assertEquals(0, launch(project.resolve("remask")).status());
    assertEquals(2, buildsDone());
  }

  @Test
  void imagesThatAreAskedForLater_areBuilt() throws Exception {
    launch(project.resolve("remask"));
    Map<String, String> images = Map.of("REMASK_IMAGES", "1");
    List<String> command = List.of(project.resolve("remask").toString(), "info");
    for (int run = 1; run <= 2; run++) {
      assertEquals(0, ShellScripts.run(folder, tools, images, command).status());
      assertEquals(2, buildsDone());
    }
  }

  @Test
  void worksThroughSymbolicLinks() throws Exception {
    Path link = Files.createSymbolicLink(folder.resolve("link"), project.resolve("remask"));
    Path relative = Files.createDirectories(folder.resolve("bin")).resolve("remask");
    Files.createSymbolicLink(relative, Path.of("../link"));
    assertEquals(0, launch(link).status());
    assertTrue(launch(relative, "info").output().contains("[info]"));
    assertEquals(1, buildsDone());
  }

  @Test
  void failedBuild_showsTheLogAndLeavesNothingBehind() throws Exception {
    maven("echo 'error: no such thing'; exit 1");
    age();
    for (int attempt = 1; attempt <= 2; attempt++) {
      Outcome outcome = launch(project.resolve("remask"), "info");
      assertEquals(3, outcome.status(), outcome.output());
      assertTrue(outcome.output().contains("error: no such thing"), outcome.output());
      assertFalse(outcome.output().contains("JAVA"), outcome.output());
      assertEquals(attempt, buildsDone());
    }
  }

  @Test
  void twoFirstUsesAtOnce_buildOnce() throws Exception {
    maven(
        "sleep 1; touch target/remask-1.jar; printf %s \"$PWD/pom.xml\" "
            + ">target/remask.classpath");
    age();
    Callable<Outcome> use = () -> launch(project.resolve("remask"), "info");
    try (var uses = Executors.newFixedThreadPool(2)) {
      for (var outcome : uses.invokeAll(List.of(use, use))) {
        assertEquals(0, outcome.get().status(), outcome.get().output());
      }
    }
    assertEquals(1, buildsDone());
  }

  /// What a build leaves for quick starts, made by the JDK of the tests.
  private Path recordClasses() throws IOException {
    Path start = Files.createDirectories(project.resolve("target/start"));
    Files.writeString(start.resolve("classpath"), jar() + ":recorded.jar\n");
    Files.writeString(start.resolve("remask.aot"), "");
    Files.copy(tools.resolveSibling("release"), start.resolve("release"), REPLACE_EXISTING);
    return start;
  }

  private Path jar() {
    return project.resolve("target/remask-1.jar");
  }

  @Test
  void recordedClasses_areUsed_withTheirClassPath() throws Exception {
    launch(project.resolve("remask"), "info");
    Path start = recordClasses();
    String output = launch(project.resolve("remask"), "info").output();
    assertTrue(output.contains("[-XX:AOTCache=" + start + "/remask.aot]"), output);
    assertTrue(
        output.contains("[" + jar() + ":recorded.jar]\n[dev.remask.cli.Main]\n[info]"), output);
  }

  @Test
  void recordedClasses_areLeftOut_whereTheyCannotFit() throws Exception {
    launch(project.resolve("remask"), "info");
    Path start = recordClasses();
    String plain = "[" + project + "/target/remask-1.jar:" + project + "/pom.xml]";
    List<String> command = List.of(project.resolve("remask").toString(), "info");
    String off = ShellScripts.run(folder, tools, Map.of("REMASK_AOT", "0"), command).output();
    assertTrue(off.contains(plain) && !off.contains("AOTCache"), off);

    Files.writeString(start.resolve("release"), "JAVA_VERSION=\"25.0.4\"\n");
    String otherJdk = launch(project.resolve("remask"), "info").output();
    assertTrue(otherJdk.contains(plain) && !otherJdk.contains("AOTCache"), otherJdk);

    Files.copy(tools.resolveSibling("release"), start.resolve("release"), REPLACE_EXISTING);
    Files.writeString(
        start.resolve("classpath"), folder + "/elsewhere/remask-1.jar:recorded.jar\n");
    String otherFolder = launch(project.resolve("remask"), "info").output();
    assertTrue(otherFolder.contains(plain) && !otherFolder.contains("AOTCache"), otherFolder);

    recordClasses();
    Files.setLastModifiedTime(jar(), FileTime.from(Instant.now().plusSeconds(60)));
    String newerJar = launch(project.resolve("remask"), "info").output();
    assertTrue(newerJar.contains(plain) && !newerJar.contains("AOTCache"), newerJar);
  }

  @Test
  void otherPlatforms_areRefusedInOneLine() throws Exception {
    ShellScripts.script(tools.resolve("uname"), "echo Darwin arm64");
    Outcome outcome = launch(project.resolve("remask"), "info");
    assertEquals(3, outcome.status());
    assertEquals(1, outcome.output().lines().count(), outcome.output());
    assertTrue(outcome.output().contains("Darwin arm64"), outcome.output());
  }
}
