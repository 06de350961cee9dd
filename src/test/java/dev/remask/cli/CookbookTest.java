package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.ChildJvm;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Compiles and runs every example of docs/cookbook.md and compares what it prints.
class CookbookTest {
  private static final String FENCE = "```";
  private static final String JCUDA_IMPORTS =
      "import jcuda.Pointer;\nimport jcuda.Sizeof;\nimport jcuda.driver.*;\n";

  /// What the first example says of those that follow.
  private static final String MODEL = "Remask.load(Remask.defaultModel())";

  /// A fenced block.
  ///
  /// @param info what stands behind the fence: a language, and what it is for
  /// @param line of the document, for messages
  private record Block(String info, int line, List<String> text) {
    String language() {
      return info.split(" ")[0];
    }

    boolean isJcuda() {
      return info.equals("java jcuda");
    }
  }

  private static List<Block> blocks;

  @TempDir Path folder;

  @BeforeAll
  static void read() throws Exception {
    blocks = new ArrayList<>();
    List<String> lines = Files.readAllLines(Path.of("docs/cookbook.md"));
    for (int i = 0; i < lines.size(); i++) {
      if (lines.get(i).startsWith(FENCE)) {
        int begin = i + 1;
        do {
          i++;
        } while (!lines.get(i).equals(FENCE));
        String info = lines.get(begin - 1).substring(FENCE.length());
        blocks.add(new Block(info, begin, List.copyOf(lines.subList(begin, i))));
      }
    }
  }

  private static List<Block> examples(boolean jcuda) {
    return blocks.stream()
        .filter(block -> block.language().equals("java") && !block.info.endsWith("imports"))
        .filter(block -> block.isJcuda() == jcuda)
        .toList();
  }

  /// The block behind an example: what it prints.
  private static List<String> expected(Block example) {
    Block next = blocks.get(blocks.indexOf(example) + 1);
    assertEquals("text", next.info, "line " + next.line + ": an example needs its output");
    return next.text;
  }

  private static void assertPrints(List<String> expected, List<String> found, int line) {
    String pattern =
        expected.stream()
            .map(text ->
                Pattern.compile("…")
                    .splitAsStream(text + "\n")
                    .map(Pattern::quote)
                    .collect(Collectors.joining("[^\\n]*")))
            .collect(Collectors.joining());
    String text = found.stream().map(one -> one + "\n").collect(Collectors.joining());
    assertTrue(
        Pattern.matches(pattern, text),
        "docs/cookbook.md:" + line + " prints\n" + text + "instead of\n" + expected);
  }

  /// A class whose `run` is the example.
  private static String source(Block example, String name) {
    String imports =
        blocks.stream()
            .filter(block -> block.info.equals("java imports"))
            .flatMap(block -> block.text.stream())
            .collect(Collectors.joining("\n"));
    String body = String.join("\n", example.text);
    // The first example makes the model that the others have.
    String parameter = body.contains("Model model =") ? "none" : "model";
    return imports
        + "\n"
        + (example.isJcuda() ? JCUDA_IMPORTS : "")
        + "public final class "
        + name
        + " {\n  public static void run(Model "
        + parameter
        + ") throws Exception {\n"
        + body
        + "\n  }\n  public static void main(String[] none) throws Exception { run(null); }\n}\n";
  }

  private void compile(List<Path> sources) {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    var messages = new StringWriter();
    try (var files = compiler.getStandardFileManager(null, null, null)) {
      var options =
          List.of(
              "-proc:none",
              "-Xlint:all,-classfile,-path,-restricted",
              "-Werror",
              "-cp",
              ChildJvm.inheritedClassPath(),
              "-d",
              folder.toString());
      boolean compiled =
          compiler
              .getTask(
                  messages, files, null, options, null, files.getJavaFileObjectsFromPaths(sources))
              .call();
      assertTrue(compiled, messages.toString());
    } catch (java.io.IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  private Path write(String name, String text) throws Exception {
    return Files.writeString(folder.resolve(name + ".java"), text);
  }

  @Test
  void java_printsWhatTheCookbookSays() throws Exception {
    List<Block> examples = examples(false);
    assertTrue(examples.size() >= 10, "the examples were found");
    var sources = new ArrayList<Path>();
    var main = new StringBuilder("import dev.remask.*;\npublic final class Cookbook {\n");
    main.append("  public static void main(String[] none) throws Exception {\n");
    main.append("    try (Model model = " + MODEL + ") {\n");
    for (int i = 0; i < examples.size(); i++) {
      sources.add(write("Example" + i, source(examples.get(i), "Example" + i)));
      main.append("      Example" + i + ".run(model);\n      System.out.println(\"----\");\n");
    }
    sources.add(write("Cookbook", main.append("    }\n  }\n}\n").toString()));
    compile(sources);
    var result = new ChildJvm().before(folder).run("Cookbook");
    assertEquals(0, result.status(), result.output());
    String[] parts = result.output().split("----\n", -1);
    for (int i = 0; i < examples.size(); i++) {
      Block example = examples.get(i);
      assertPrints(expected(example), parts[i].lines().toList(), example.line);
    }
  }

  @Test
  void jcuda_printsWhatTheCookbookSays() throws Exception {
    List<Block> examples = examples(true);
    assertTrue(examples.size() >= 2, "the examples were found");
    for (int i = 0; i < examples.size(); i++) {
      compile(List.of(write("WithJCuda" + i, source(examples.get(i), "WithJCuda" + i))));
      var result =
          new ChildJvm()
              .before(folder)
              .property("java.io.tmpdir", folder.toString())
              .run("WithJCuda" + i);
      assertEquals(0, result.status(), result.output());
      assertPrints(
          expected(examples.get(i)), result.output().lines().toList(), examples.get(i).line);
    }
  }

  @Test
  void commands_printWhatTheCookbookSays() throws Exception {
    int commands = 0;
    for (Block block : blocks) {
      String[] info = block.info.split(" ");
      if (info.length == 2 && List.of("json", "properties").contains(info[0])) {
        Files.write(folder.resolve(info[1]), block.text);
      } else if (block.info.equals("console")) {
        for (int i = 0; i < block.text.size(); ) {
          int end = i + 1;
          while (end < block.text.size() && !block.text.get(end).startsWith("$ ")) {
            end++;
          }
          run(block.text.get(i), block.text.subList(i + 1, end), block.line + i);
          commands++;
          i = end;
        }
      }
    }
    assertTrue(commands >= 4, "the commands were found");
  }

  private void run(String command, List<String> expected, int line) {
    var arguments = new ArrayList<String>();
    var words = Pattern.compile("\"([^\"]*)\"|(\\S+)").matcher(command);
    while (words.find()) {
      arguments.add(words.group(1) != null ? words.group(1) : words.group(2));
    }
    var run = new CliRun(folder);
    int begin = 1; // behind the prompt, variables come first, as in a shell
    for (; arguments.get(begin).startsWith("REMASK_"); begin++) {
      String[] setting = arguments.get(begin).split("=", 2);
      run.with(setting[0], setting[1]);
    }
    assertEquals("remask", arguments.get(begin), "line " + line + ": " + command);
    List<String> ofRemask = arguments.subList(begin + 1, arguments.size());
    run.run(ofRemask.toArray(String[]::new));
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    assertPrints(expected, run.out().lines().toList(), line);
    String out = optionOf(ofRemask, "--out");
    if (out != null) {
      int requests = count(optionOf(ofRemask, "--batch"));
      assertEquals(requests, count(out), "line " + line + ": a result for each request");
    }
  }

  private static String optionOf(List<String> arguments, String flag) {
    int at = arguments.indexOf(flag);
    return at < 0 ? null : arguments.get(at + 1);
  }

  private int count(String file) {
    try {
      return Files.readAllLines(folder.resolve(file)).size();
    } catch (java.io.IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
