import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// Runs processes in turns and prints medians of their times; `jmh/start-up` says which.
public final class StartUp {
  private static final String FIRST_STEP = "first step after ms: ";
  private static final double NANOS_PER_MS = 1e6;

  /// Of `/proc/self/stat`, counted from the state: user and system time of children that ended.
  private static final int CHILDREN_USER = 13;

  private static final int CHILDREN_SYSTEM = 14;

  /// Linux' unit there, whatever the kernel's own.
  private static final double MS_PER_TICK = 10;

  private record Case(String name, boolean cache, List<String> command, boolean tells) {}

  private record Times(double wallMs, double cpuMs, double toldMs) {}

  private StartUp() {}

  /// Arguments: rounds, JDK, options of its JVM, class path and cache of the library's case.
  public static void main(String[] arguments) throws IOException, InterruptedException {
    int rounds = Integer.parseInt(arguments[0]);
    List<Case> cases = cases(arguments);
    var times = new ArrayList<List<Times>>();
    cases.forEach(each -> times.add(new ArrayList<>()));
    for (int round = 0; round < rounds; round++) {
      for (int i = 0; i < cases.size(); i++) {
        times.get(i).add(run(cases.get(i)));
      }
    }
    System.out.printf(
        "%s, %d cores, JDK %s, %d rounds; medians, least in brackets%n%n",
        cpu(), Runtime.getRuntime().availableProcessors(), Runtime.version(), rounds);
    System.out.println("| case | class cache | wall ms | CPU ms | load to first step, ms |");
    System.out.println("|---|---|---|---|---|");
    for (int i = 0; i < cases.size(); i++) {
      Case each = cases.get(i);
      List<Times> found = times.get(i);
      System.out.printf(
          Locale.ROOT,
          "| %s | %s | %s | %s | %s |%n",
          each.name,
          each.cache ? "yes" : "no",
          column(found.stream().mapToDouble(Times::wallMs).toArray()),
          column(found.stream().mapToDouble(Times::cpuMs).toArray()),
          each.tells ? column(found.stream().mapToDouble(Times::toldMs).toArray()) : "");
    }
  }

  private static List<Case> cases(String[] arguments) {
    var cases = new ArrayList<Case>();
    for (boolean cache : new boolean[] {true, false}) {
      cases.add(new Case("version", cache, List.of("./remask", "--version"), false));
      String prompt = "What is 47 + 38?";
      cases.add(
          new Case(
              "first step",
              cache,
              List.of("./remask", "generate", prompt, "--gen-length", "1"),
              false));
      cases.add(new Case("answer", cache, List.of("./remask", "generate", prompt), false));
      var library = new ArrayList<String>(List.of(arguments[1] + "/bin/java"));
      library.addAll(Arrays.asList(arguments[2].trim().split("\\s+")));
      if (cache) {
        library.add("-XX:AOTCache=" + arguments[4]);
      }
      library.addAll(List.of("-cp", arguments[3], "FirstStep"));
      cases.add(new Case("library", cache, library, true));
    }
    return cases;
  }

  private static Times run(Case each) throws IOException, InterruptedException {
    var builder = new ProcessBuilder(each.command).redirectErrorStream(true);
    Map<String, String> environment = builder.environment();
    environment.put("REMASK_AOT", each.cache ? "1" : "0");
    environment.put("REMASK_DEVICE", "software");
    builder.redirectInput(new File("/dev/null"));
    double cpuBefore = childrenMs();
    long begin = System.nanoTime();
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    int status = process.waitFor();
    double wall = (System.nanoTime() - begin) / NANOS_PER_MS;
    if (status != 0) {
      throw new IllegalStateException(each.command + " ended with " + status + ": " + output);
    }
    double told =
        each.tells
            ? Double.parseDouble(
                output
                    .substring(output.indexOf(FIRST_STEP) + FIRST_STEP.length())
                    .lines()
                    .findFirst()
                    .orElseThrow())
            : 0;
    return new Times(wall, childrenMs() - cpuBefore, told);
  }

  private static double childrenMs() throws IOException {
    String stat = Files.readString(Path.of("/proc/self/stat"));
    // The name in brackets may hold spaces.
    String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
    return MS_PER_TICK
        * (Long.parseLong(fields[CHILDREN_USER]) + Long.parseLong(fields[CHILDREN_SYSTEM]));
  }

  private static String column(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int middle = sorted.length / 2;
    double median =
        sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    return String.format(Locale.ROOT, "%.0f (%.0f)", median, sorted[0]);
  }

  private static String cpu() throws IOException {
    return Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
        .filter(line -> line.startsWith("model name"))
        .map(line -> line.replaceFirst(".*: *", ""))
        .findFirst()
        .orElse("unknown CPU");
  }
}
