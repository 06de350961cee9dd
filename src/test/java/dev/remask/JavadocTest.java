package dev.remask;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.ChildJvm;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The documentation of what is public, as `javac -Xdoclint:all` sees it: nothing without a
/// comment, no reference that leads nowhere, no broken HTML.
class JavadocTest {
  @TempDir Path folder;

  @Test
  void doclint_findsNothing() throws Exception {
    List<Path> sources;
    try (Stream<Path> files = Files.walk(Path.of("src/main/java"))) {
      sources =
          files
              .filter(file -> file.toString().endsWith(".java"))
              .filter(file -> !file.endsWith("module-info.java"))
              .toList();
    }
    assertTrue(sources.size() > 100, "the sources were found");
    var found = new DiagnosticCollector<JavaFileObject>();
    var compiler = ToolProvider.getSystemJavaCompiler();
    try (var files = compiler.getStandardFileManager(found, Locale.ROOT, null)) {
      var options =
          List.of(
              "-Xdoclint:all/protected",
              "-Xdoclint/package:-dev.remask.cli",
              "-Xmaxwarns",
              "100000",
              "-Xmaxerrs",
              "100000",
              "-proc:none",
              "-cp",
              ChildJvm.inheritedClassPath(),
              "-d",
              folder.toString());
      compiler
          .getTask(null, files, found, options, null, files.getJavaFileObjectsFromPaths(sources))
          .call();
    }
    var complaints = new ArrayList<String>();
    for (Diagnostic<? extends JavaFileObject> diagnostic : found.getDiagnostics()) {
      if (diagnostic.getKind() != Diagnostic.Kind.NOTE && !isForProse(diagnostic)) {
        complaints.add(diagnostic.toString());
      }
    }
    assertEquals(List.of(), complaints, () -> String.join("\n", complaints));
  }

  /// Below the facade, parameters, results and exceptions may be told in sentences, which say more
  /// of shapes and units than a list does.
  private static boolean isForProse(Diagnostic<? extends JavaFileObject> diagnostic) {
    String message = diagnostic.getMessage(Locale.ROOT);
    boolean facade =
        diagnostic.getSource() != null
            && Path.of(diagnostic.getSource().getName()).getParent().endsWith("dev/remask");
    return !facade
        && (message.startsWith("no @param")
            || message.startsWith("no @return")
            || message.startsWith("no @throws"));
  }
}
