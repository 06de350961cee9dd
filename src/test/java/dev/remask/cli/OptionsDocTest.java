package dev.remask.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.diffusion.DiffusionOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// docs/options.md: every option is there, every example runs, every refusal is one.
class OptionsDocTest {
  private static final String INDENT = "    ";

  /// Begins the text that the request above it is answered with.
  private static final String ANSWER = "→ ";

  private static final Pattern REFUSED = Pattern.compile("\\| `(\\{.*})` \\| (\\w+) \\| [^|]+ \\|");
  private static final Pattern WORD = Pattern.compile("\"([^\"]*)\"|\\S+");

  /// Fields of a request beside its options.
  private static final List<String> REQUEST_FIELDS =
      List.of(
          "prompt",
          "messages",
          "prompt_ids",
          "canvas",
          "canvas_ids",
          "raw",
          "negative_prompt",
          "negative_prompt_ids",
          "choices",
          "choice_ids",
          "allowed_tokens",
          "banned_tokens",
          "logit_bias",
          "trace",
          "timeout_ms");

  private static List<String> lines;

  @TempDir Path folder;

  /// A command and what the document shows of its output, possibly nothing.
  record Command(String line, List<String> output) {
    @Override
    public String toString() {
      return line;
    }
  }

  @BeforeAll
  static void read() throws IOException {
    lines = Files.readAllLines(Path.of("docs/options.md"));
  }

  private static Stream<String> examples(List<String> of) {
    return of.stream().filter(line -> line.startsWith(INDENT)).map(String::strip);
  }

  static Stream<Command> commands() throws IOException {
    read();
    var commands = new ArrayList<Command>();
    for (String line : examples(lines).toList()) {
      if (line.startsWith("$ ")) {
        commands.add(new Command(line.substring(2), new ArrayList<>()));
      } else if (!line.startsWith("{") && !line.startsWith(ANSWER)) {
        commands.getLast().output().add(line);
      }
    }
    return commands.stream();
  }

  private CliRun run(String... arguments) {
    return new CliRun(folder).with("REMASK_DEVICE", "software").run(arguments);
  }

  private static String[] arguments(String command) {
    var words = new ArrayList<String>();
    Matcher matcher = WORD.matcher(command);
    while (matcher.find()) {
      words.add(matcher.group(1) != null ? matcher.group(1) : matcher.group());
    }
    assertEquals("remask", words.removeFirst());
    return words.toArray(String[]::new);
  }

  @ParameterizedTest
  @MethodSource("commands")
  void commands_doWhatIsShown(Command command) {
    CliRun run = run(arguments(command.line()));
    assertEquals(ExitStatus.DONE, run.status(), run::toString);
    if (!command.output().isEmpty()) {
      assertEquals(command.output(), run.out().lines().toList());
    }
  }

  @Test
  void requests_areAnswered() throws IOException {
    var requests = new ArrayList<String>();
    Map<Integer, String> texts = new HashMap<>();
    for (String line : examples(lines).toList()) {
      if (line.startsWith("{")) {
        requests.add(line);
      } else if (line.startsWith(ANSWER)) {
        texts.put(requests.size() - 1, line.substring(ANSWER.length()).replace("\\n", "\n"));
      }
    }
    assertEquals(1, texts.size());
    assertTrue(requests.size() > 20, requests::toString);
    Files.write(folder.resolve("requests.jsonl"), requests);
    List<JsonNode> results = run("generate", "--batch", "requests.jsonl").json();
    assertEquals(requests.size(), results.size());
    for (int i = 0; i < requests.size(); i++) {
      JsonNode request = JsonMapper.shared().readTree(requests.get(i));
      JsonNode result = results.get(i);
      assertTrue(result.path("error").isMissingNode(), requests.get(i) + "\n" + result);
      assertEquals(
          request.has("canvas") || request.has("canvas_ids"),
          result.has("canvas_ids"),
          result::toString);
      assertEquals(
          texts.getOrDefault(i, result.path("text").asString()), result.path("text").asString());
      assertEquals(request.path("trace").asBoolean(false), result.has("trace"), result::toString);
    }
  }

  @Test
  void refusals_nameTheirField() throws IOException {
    var fields = new ArrayList<String>();
    var requests = new ArrayList<String>();
    for (String line : lines) {
      Matcher row = REFUSED.matcher(line);
      if (row.matches()) {
        requests.add(row.group(1));
        fields.add(row.group(2));
      }
    }
    long rows = lines.stream().filter(line -> line.startsWith("| `{")).count();
    assertEquals(rows, requests.size(), "every row is read");
    assertTrue(rows > 25, "rows " + rows);
    Files.write(folder.resolve("requests.jsonl"), requests);
    CliRun run = run("generate", "--batch", "requests.jsonl");
    List<JsonNode> results = run.json();
    assertEquals(requests.size(), results.size(), run::toString);
    for (int i = 0; i < requests.size(); i++) {
      String error = results.get(i).path("error").asString("");
      boolean names =
          error.startsWith(fields.get(i) + " ") || error.startsWith(fields.get(i) + ",");
      boolean oneOf = error.startsWith("exactly one of " + fields.get(i));
      assertTrue(names || oneOf, requests.get(i) + "\n" + results.get(i));
    }
  }

  @Test
  void everyField_hasItsSectionWithAnExample() {
    Map<String, List<String>> sections = new LinkedHashMap<>();
    String section = null;
    for (String line : lines) {
      if (line.startsWith("#")) {
        section = line.startsWith("### ") ? line.substring(4) : null;
      }
      if (section != null) {
        sections.computeIfAbsent(section, name -> new ArrayList<>()).add(line);
      }
    }
    var expected = new TreeSet<>(DiffusionOptions.names());
    expected.addAll(REQUEST_FIELDS);
    assertEquals(expected, new TreeSet<>(sections.keySet()));
    sections.forEach((name, text) -> {
      String flag = "--" + name.replace('_', '-') + " ";
      assertTrue(
          name.equals("prompt")
              || examples(text)
                  .anyMatch(
                      line -> (line + " ").contains(flag) || line.contains("\"" + name + "\"")),
          name + " has an example");
    });
  }

  @Test
  void whoDecides_isAsTheTableSays() throws IOException {
    Pattern row = Pattern.compile("\\| remasking (\\w+) \\| ([\\w ]+) \\| (\\w+) \\| (\\w+) \\|");
    int rules = 0;
    for (String line : lines) {
      Matcher matcher = row.matcher(line);
      if (!matcher.matches()) {
        continue;
      }
      rules++;
      String rule = "\"remasking\": \"" + matcher.group(1) + "\"";
      assertTrue(isAccepted("{" + rule + ", \"steps\": 2, \"schedule\": \"linear\"}"), line);
      boolean adaptive = matcher.group(3).equals("yes");
      assertEquals(adaptive, isAccepted("{" + rule + ", \"threshold\": 0.9}"), line);
      assertEquals(adaptive, isAccepted("{" + rule + ", \"factor\": 1}"), line);
    }
    assertEquals(5, rules);
  }

  private boolean isAccepted(String options) {
    String request =
        "{\"prompt_ids\": [5], \"options\": "
            + options.replaceFirst("\\{", "{\"gen_length\": 4, ")
            + "}";
    CliRun run =
        new CliRun(folder)
            .with("REMASK_DEVICE", "software")
            .input(request)
            .run("generate", "--batch", "-");
    return run.status() == ExitStatus.DONE;
  }
}
