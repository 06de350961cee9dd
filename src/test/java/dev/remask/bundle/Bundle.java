package dev.remask.bundle;

import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import java.io.PrintStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.node.ObjectNode;

/// What `run.sh` of the GPU bundle starts: runs the parts on a card, task by task, and writes the
/// report.
///
/// Exit status: 0 all passed, or there is no GPU; 1 something failed; 2 usage; 75 time is up and
/// tasks are left, which the next run goes on with; 76 the process is of no more use, start it
/// again at once; 77 there is a GPU, and `all` means to run the parts one by one.
public final class Bundle {
  static final String TOOL = "remask gpu bundle: ";

  /// A part must end within eight minutes; no task is begun in the last of them.
  private static final Duration PART_LIMIT = Duration.ofSeconds(470);

  private static final Duration LAST_BEGIN = Duration.ofSeconds(400);
  private static final int FAILED = 1;
  private static final int USAGE = 2;
  private static final int UNFINISHED = 75;
  private static final int AGAIN = 76;
  private static final int PARTS = 77;

  /// What a task may take longer than its limit to stop a child.
  private static final Duration GRACE = Duration.ofSeconds(10);

  private final PrintStream out;
  private final Results results;
  private final DeviceSpec spec;
  private final String filter;
  private final boolean again;

  private Bundle(PrintStream out, Results results, DeviceSpec spec, String filter, boolean again) {
    this.out = out;
    this.results = results;
    this.spec = spec;
    this.filter = filter;
    this.again = again;
  }

  /// See `run.sh --help`. The properties `remask.bundle.results` and `remask.bundle.root` are the
  /// folders of results and of the bundle; `remask.bundle.device` may name a device other than
  /// `cuda`, to try the bundle where there is none.
  public static void main(String[] arguments) {
    System.exit(run(System.out, arguments));
  }

  static int run(PrintStream out, String... arguments) {
    var words = new ArrayList<>(List.of(arguments));
    boolean again = words.remove("--again");
    String part = words.isEmpty() ? "all" : words.removeFirst();
    String filter = words.isEmpty() ? "" : words.removeFirst();
    if (!words.isEmpty()
        || !List.of("all", "calibrate", "test", "bench", "report").contains(part)) {
      out.println(TOOL + "usage: run.sh [all|calibrate|test|bench|report] [FILTER] [--again]");
      return USAGE;
    }
    Path root = Path.of(System.getProperty("remask.bundle.root", "."));
    var results =
        new Results(
            Path.of(
                System.getProperty("remask.bundle.results", root.resolve("results").toString())));
    var spec = DeviceSpec.parse(System.getProperty("remask.bundle.device", "cuda"));
    return new Bundle(out, results, spec, filter, again).run(root, part);
  }

  private int run(Path root, String part) {
    boolean isThere = !Device.list(spec.kind()).isEmpty();
    var parts = new LinkedHashMap<String, List<? extends Task>>();
    for (String name : List.of("calibrate", "test", "bench")) {
      if (part.equals("all") || part.equals(name)) {
        parts.put(name, tasks(root, name));
      }
    }
    if (!isThere) {
      return list(parts);
    }
    if (part.equals("all")) {
      return PARTS;
    }
    int status = part.equals("report") ? 0 : runPart(part, parts.get(part));
    new Report(results, Card.describe(Device.open(spec))).write();
    out.println(TOOL + "the report is " + results.folder().resolve("report.md"));
    return status;
  }

  private List<? extends Task> tasks(Path root, String part) {
    return switch (part) {
      case "calibrate" -> Calibration.tasks(root, spec);
      case "test" -> GpuTests.tasks();
      default -> Benchmarks.tasks(results, spec, root);
    };
  }

  /// Without a GPU: what would have been run.
  private int list(Map<String, List<? extends Task>> parts) {
    out.println(TOOL + "no NVIDIA driver with a GPU is usable here; on one this would run:");
    int skipped = 0;
    for (Map.Entry<String, List<? extends Task>> part : parts.entrySet()) {
      for (Task task : part.getValue()) {
        if (task.name().contains(filter)) {
          out.println("  " + part.getKey() + " " + task.name() + " (" + task.size() + ")");
          skipped += task.size();
        }
      }
    }
    out.println(TOOL + "0 run, " + skipped + " skipped");
    return 0;
  }

  private int runPart(String part, List<? extends Task> tasks) {
    if (again) {
      results.forget(part, filter);
    }
    // A process that takes over from a broken one has its time, not more.
    long now = System.currentTimeMillis();
    long begin = Long.getLong("remask.bundle.begin", now / 1000) * 1000;
    int failed = 0;
    int left = 0;
    for (Task task : tasks) {
      var done = results.find(part, task.name());
      if (!task.name().contains(filter)) {
        continue;
      }
      if (done.isPresent()) {
        failed += done.get().get("status").stringValue().equals("passed") ? 0 : 1;
        continue;
      }
      Duration elapsed = Duration.ofMillis(System.currentTimeMillis() - begin);
      if (elapsed.compareTo(LAST_BEGIN) > 0) {
        left++;
        continue;
      }
      out.print(part + " " + task.name() + " … ");
      out.flush();
      Duration rest = PART_LIMIT.minus(elapsed);
      Duration limit = rest.compareTo(task.limit()) < 0 ? rest : task.limit();
      ObjectNode result;
      try (var watchdog = new Watchdog(limit.plus(GRACE), () -> giveUp(part, task))) {
        result = attempt(task, limit);
      }
      results.add(part, result);
      out.println(result.get("status").stringValue() + error(result));
      if (error(result).contains("CudaException") && !part.equals("test")) {
        return AGAIN; // a fault of the device stays with the process
      }
      failed += result.get("status").stringValue().equals("passed") ? 0 : 1;
    }
    out.println(
        TOOL + part + ": " + failed + " failed" + (left == 0 ? "" : ", " + left + " left: run on"));
    return left > 0 ? UNFINISHED : failed > 0 ? FAILED : 0;
  }

  /// A kernel that never ends cannot be taken back: only the end of the process frees the card.
  private void giveUp(String part, Task task) {
    results.add(
        part,
        Results.object()
            .put("status", "failed")
            .put("error", "no end in time")
            .put("name", task.name()));
    out.println("failed: no end in time");
    Runtime.getRuntime().halt(AGAIN);
  }

  private static ObjectNode attempt(Task task, Duration left) {
    long begin = System.nanoTime();
    ObjectNode result;
    try {
      result = task.run(left);
    } catch (Exception | LinkageError e) {
      result = Results.object().put("status", "failed").put("error", e.toString());
    }
    result.put("name", task.name());
    return result.put("seconds", (System.nanoTime() - begin) / 1e9);
  }

  private static String error(ObjectNode result) {
    return result.has("error") ? ": " + result.get("error").stringValue() : "";
  }
}
