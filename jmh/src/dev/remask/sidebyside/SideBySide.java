package dev.remask.sidebyside;

import com.sun.management.OperatingSystemMXBean;
import dev.remask.GenerateRequest;
import dev.remask.GenerateResult;
import dev.remask.LoadOptions;
import dev.remask.Model;
import dev.remask.Remask;
import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.kernel.DType;
import dev.remask.measure.Processor;
import dev.remask.model.PassTimer;
import dev.remask.results.Run;
import dev.remask.results.Surroundings;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.ZonedDateTime;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Remask and the official PyTorch code on the same models, requests and processors, turn by turn.
///
/// A turn is one whole generation, or several forward passes; the sides take turns and change who
/// begins, so that what the machine does meanwhile meets both alike. While one works the other
/// one's threads sleep. Prints medians and their ratios, by wall time and, for machines that others
/// use too, by processor time.
public final class SideBySide {
  private static final String USAGE =
      """
      usage: jmh/side-by-side --official DIR [--code DIR] [--rounds N] [--dtype bf16|f32] [--case NAME]
                              [--python FILE] [--cache DIR] [--passive] [--out FILE]
        --official  a checkout of ML-GSAI/LLaDA, whose generate.py runs as it is
        --code      a folder with the published modeling_llada.py and configuration_llada.py; without
                    it plain PyTorch computes the same network
        --rounds    turns of each side (default 7)
        --case      d1024 (width 1024, 8 layers, random weights) or tiny-llada (default: both)
        --python    with PyTorch (default: REMASK_PYTHON, else python3)
        --cache     where models of random weights are kept (default target/jmh/models)
        --passive   PyTorch's waiting threads sleep at once: on a busy machine
        --out       results in FILE.json and FILE.md as well\
      """;

  private static final double NANOS_PER_MS = 1e6;
  private static final OperatingSystemMXBean SYSTEM =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  /// Forward passes of a turn.
  private static final int PASSES = 5;

  private static final int WARM_UP = 2;

  /// Between two turns: threads that spin for more work go to sleep.
  private static final long PAUSE_MS = 20;

  private Path official;
  private Path code;
  private Path out;
  private Path cache = Run.root().resolve("target/jmh/models");
  private String python = System.getenv().getOrDefault("REMASK_PYTHON", "python3");
  private DType dtype = DType.BF16;
  private int rounds = 7;
  private boolean passive;
  private List<Case> cases = List.of(Case.tiny(), Case.d1024());
  private final List<String> lines = new ArrayList<>();
  private final ObjectNode json = JsonMapper.shared().createObjectNode();
  private final ArrayNode measured = json.putArray("measured");

  private SideBySide() {}

  /// Exit status 0; 1 if Python fails, 2 for usage.
  public static void main(String[] args) throws InterruptedException {
    var both = new SideBySide();
    try {
      both.read(args);
    } catch (IllegalArgumentException e) {
      System.err.println("jmh/side-by-side: " + e.getMessage() + "\n" + USAGE);
      System.exit(2);
    }
    try {
      both.run();
    } catch (IOException e) {
      System.err.println("jmh/side-by-side: " + e.getMessage());
      System.exit(1);
    }
  }

  private void read(String[] args) {
    for (int i = 0; i < args.length; i++) {
      String name = args[i];
      if (name.equals("--passive")) {
        passive = true;
        continue;
      }
      if (!name.startsWith("--") || i + 1 == args.length) {
        throw new IllegalArgumentException(name);
      }
      String value = args[++i];
      switch (name) {
        case "--official" -> official = Path.of(value);
        case "--code" -> code = Path.of(value);
        case "--rounds" -> rounds = Integer.parseInt(value);
        case "--dtype" -> dtype = DType.valueOf(value.toUpperCase(Locale.ROOT));
        case "--python" -> python = value;
        case "--cache" -> cache = Path.of(value);
        case "--out" -> out = Path.of(value.replaceFirst("\\.(json|md)$", ""));
        case "--case" -> {
          cases = cases.stream().filter(one -> one.name().equals(value)).toList();
          if (cases.isEmpty()) {
            throw new IllegalArgumentException("--case " + value);
          }
        }
        default -> throw new IllegalArgumentException(name);
      }
    }
    if (official == null) {
      throw new IllegalArgumentException("--official is missing");
    }
    if (rounds < 1) {
      throw new IllegalArgumentException("--rounds " + rounds);
    }
  }

  private void run() throws IOException, InterruptedException {
    json.put("format", "remask-side-by-side-1");
    json.put("date", ZonedDateTime.now().truncatedTo(ChronoUnit.SECONDS).toString());
    json.put("load_before", Surroundings.load());
    ObjectNode machine = json.putObject("machine");
    say("# Remask and PyTorch side by side, " + json.get("date").asString() + "\n");
    Surroundings.describe()
        .forEach((name, value) -> {
          machine.put(name, value);
          say("- " + name + ": " + value);
        });
    say("- threads: " + Processor.threads() + " each");
    say(String.format(Locale.ROOT, "- load before: %.1f", Surroundings.load()));
    say(String.format("- %d turns each, medians (least to most)", rounds));
    for (Case one : cases) {
      run(one);
    }
    if (out != null) {
      Files.createDirectories(out.toAbsolutePath().getParent());
      Files.writeString(Path.of(out + ".md"), String.join("\n", lines) + "\n");
      Files.writeString(
          Path.of(out + ".json"),
          JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(json) + "\n");
    }
  }

  private void say(String line) {
    lines.add(line);
    System.out.println(line);
  }

  private void run(Case one) throws IOException, InterruptedException {
    Path folder = one.folder(cache, Remask.defaultModel());
    var arguments = new ArrayList<>(List.of("--official", official.toString()));
    arguments.addAll(List.of("--model", folder.toString()));
    arguments.addAll(List.of("--dtype", dtype.toString().toLowerCase(Locale.ROOT)));
    arguments.addAll(List.of("--device", "cpu"));
    if (code != null) {
      arguments.addAll(List.of("--code", code.toString()));
    }
    Path script = Run.root().resolve("jmh/baselines/generate.py");
    try (var peer = new PythonPeer(python, script, arguments, Processor.threads(), passive)) {
      say("\n## " + one + ", " + dtype + "\n\nPyTorch: " + peer.description() + ".\n");
      say(Sides.head());
      generations(one, folder, peer);
      int tokens = one.prompt() + one.answer();
      passes(one, folder, peer, tokens);
      passes(one, folder, peer, one.block());
    }
  }

  private void finish(Case one, Sides sides) {
    say(sides.line());
    sides.addTo(measured.addObject().put("case", one.toString()).put("dtype", dtype.toString()));
  }

  private void generations(Case one, Path folder, PythonPeer peer)
      throws IOException, InterruptedException {
    int[] prompt = one.promptIds();
    GenerateRequest request =
        GenerateRequest.builder()
            .promptIds(prompt)
            .options(
                DiffusionOptions.builder()
                    .genLength(one.answer())
                    .blockLength(one.block())
                    .steps(one.steps())
                    .build())
            .build();
    ObjectNode theirs = JsonMapper.shared().createObjectNode().put("what", "generate");
    Arrays.stream(prompt).forEach(theirs.putArray("prompt_ids")::add);
    theirs.put("gen_length", one.answer()).put("block_length", one.block());
    theirs.put("steps", one.steps());
    var sides = new Sides("a step of a generation");
    LoadOptions options =
        LoadOptions.defaults().withDevice(DeviceSpec.parse("software")).withDType(dtype);
    try (Model model = Remask.load(folder, options)) {
      GenerateResult[] ours = {null};
      JsonNode[] answer = {null};
      turns(
          sides,
          one.steps(),
          () -> ours[0] = model.generate(request),
          () -> answer[0] = peer.ask(theirs));
      sides.tokens = one.answer();
      sides.equalTokens = 0;
      for (int i = 0; i < one.answer(); i++) {
        boolean equal = ours[0].outputIds()[i] == answer[0].get("output_ids").get(i).asInt();
        sides.equalTokens += equal ? 1 : 0;
      }
    }
    finish(one, sides);
  }

  private void passes(Case one, Path folder, PythonPeer peer, int rows)
      throws IOException, InterruptedException {
    int[] ids = Arrays.copyOf(one.promptIds(), one.prompt() + one.answer());
    ObjectNode theirs = JsonMapper.shared().createObjectNode().put("what", "forward");
    Arrays.stream(ids).forEach(theirs.putArray("ids")::add);
    String which = "all rows of logits";
    if (rows < ids.length) {
      theirs.put("rows", rows);
      which = rows + " rows of logits (plain PyTorch)";
    }
    theirs.put("passes", PASSES);
    var sides = new Sides("a forward pass of " + ids.length + " tokens, " + which);
    try (Context context = Context.open(Device.open(DeviceSpec.parse("software")));
        var timer = new PassTimer(context, folder, dtype, ids, rows)) {
      turns(
          sides,
          PASSES,
          () -> {
            for (int i = 0; i < PASSES; i++) {
              timer.run();
            }
          },
          () -> peer.ask(theirs));
    }
    finish(one, sides);
  }

  private interface Ours {
    void run();
  }

  private interface Theirs {
    JsonNode run() throws IOException;
  }

  /// Takes turns; a turn's time is divided by `parts`.
  private void turns(Sides sides, int parts, Ours ours, Theirs theirs)
      throws IOException, InterruptedException {
    for (int turn = -WARM_UP; turn < rounds; turn++) {
      boolean counts = turn >= 0;
      for (int side = 0; side < 2; side++) {
        Thread.sleep(PAUSE_MS);
        if ((turn + side) % 2 == 0) {
          long processor = SYSTEM.getProcessCpuTime();
          long begin = System.nanoTime();
          ours.run();
          double wall = (System.nanoTime() - begin) / NANOS_PER_MS / parts;
          double used = (SYSTEM.getProcessCpuTime() - processor) / NANOS_PER_MS / parts;
          if (counts) {
            sides.ours(wall, used);
          }
        } else {
          JsonNode answer = theirs.run();
          double wall = answer.get("ms").asDouble() / parts;
          if (counts) {
            sides.theirs(wall, answer.get("processor_ms").asDouble() / parts);
          }
        }
      }
    }
  }
}
