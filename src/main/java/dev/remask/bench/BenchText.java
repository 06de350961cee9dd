package dev.remask.bench;

import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeSet;

/// A result for a terminal: tables, and the time of a step as bars.
public final class BenchText {
  private static final int NAME_WIDTH = 12;
  private static final int CELL_WIDTH = 18;
  private static final int BAR_WIDTH = 24;
  private static final int MIN_LABEL = 12;
  private static final double MICROS_PER_MS = 1000;

  /// Parts of a character cell, from none to seven eighths.
  private static final String EIGHTHS = " ▏▎▍▌▋▊▉";

  private final StringBuilder text = new StringBuilder();
  private final BenchResult result;

  private BenchText(BenchResult result) {
    this.result = result;
  }

  /// {@return all of it, lines of at most some hundred characters}
  ///
  /// @param result to be told
  public static String of(BenchResult result) {
    var writer = new BenchText(result);
    writer.facts(result.model());
    writer.facts(result.machine());
    writer.load();
    writer.memory();
    writer.steps();
    writer.decodings();
    writer.profile();
    for (String note : result.notes()) {
      writer.line("note: " + note);
    }
    return writer.text.toString();
  }

  private void facts(Map<String, String> facts) {
    facts.forEach((name, value) -> row(name.replace('_', ' '), value));
    line("");
  }

  private void load() {
    BenchResult.Load load = result.load();
    row("load", Figures.number(load.firstMs()) + " ms" + again(load.ms()));
    row(
        "first step",
        Figures.number(load.firstStepMs()) + " ms, from request to answer" + again(load.stepMs()));
  }

  private static String again(Samples samples) {
    return samples.count() == 0
        ? ""
        : "; in the same process again " + Figures.median(samples) + " ms";
  }

  private void memory() {
    BenchResult.Memory memory = result.memory();
    row(
        "device",
        "%s planned, %s found at the most (%s)"
            .formatted(
                ByteSizes.text(memory.plannedBytes()),
                ByteSizes.text(memory.deviceBytes()),
                Figures.change(memory.plannedBytes(), memory.deviceBytes())));
    row(
        "host",
        bytes(memory.hostPeakBytes())
            + " resident at the most, "
            + bytes(memory.hostBeforeBytes())
            + " before the load"
            + growth(memory)
            + "; weights on disk "
            + ByteSizes.text(memory.weightFileBytes()));
    line("");
  }

  /// Where the device's memory is the host's, what has become resident beside what was planned.
  private String growth(BenchResult.Memory memory) {
    if (!result.onHost() || memory.hostPeakBytes().isEmpty()) {
      return "";
    }
    double grown = memory.hostPeakBytes().getAsLong() - memory.hostBeforeBytes().orElse(0);
    return " (more by " + Figures.number(grown / memory.plannedBytes()) + " x what was planned)";
  }

  private static String bytes(OptionalLong bytes) {
    return bytes.isPresent() ? ByteSizes.text(bytes.getAsLong()) : "?";
  }

  private void steps() {
    if (result.steps().isEmpty()) {
      return;
    }
    var batches = new TreeSet<Integer>();
    var lengths = new TreeSet<Integer>();
    for (BenchResult.StepTime step : result.steps()) {
      batches.add(step.shape().batch());
      lengths.add(step.shape().length());
    }
    line("A step, ms by canvas length and batch (median ± half of the middle half)");
    var head = new StringBuilder("  %8s".formatted("tokens"));
    batches.forEach(batch -> head.append(cell(batch + " x")));
    line(head.toString());
    for (int length : lengths) {
      var row = new StringBuilder("  %8s".formatted(length));
      for (int batch : batches) {
        row.append(
            cell(find(length, batch) == null ? "" : Figures.median(find(length, batch).ms())));
      }
      line(row.toString());
    }
    for (int batch : batches) {
      linearity(batch);
    }
    int least = batches.first();
    for (int batch : batches.tailSet(least + 1)) {
      gain(lengths, least, batch);
    }
    line("");
  }

  private void linearity(int batch) {
    List<BenchResult.StepTime> steps =
        result.steps().stream().filter(step -> step.shape().batch() == batch).toList();
    if (steps.size() > 2) {
      Line line = Line.through(steps);
      line(
          "  %s x: %s ms + %s µs a token of each canvas, within %s"
              .formatted(
                  batch,
                  Figures.number(line.ms()),
                  Figures.number(line.msPerToken() * MICROS_PER_MS),
                  Figures.percent(line.deviation())));
    }
  }

  private void gain(Iterable<Integer> lengths, int least, int batch) {
    var gains = new StringBuilder();
    for (int length : lengths) {
      BenchResult.StepTime one = find(length, least);
      BenchResult.StepTime many = find(length, batch);
      if (one != null && many != null) {
        gains.append(gains.isEmpty() ? "" : ", ");
        gains.append(
            "%s at %s"
                .formatted(
                    Figures.number(many.canvasesPerSecond() / one.canvasesPerSecond()), length));
      }
    }
    line("  %s x: times the tokens/s of %s x: %s".formatted(batch, least, gains));
  }

  private BenchResult.StepTime find(int length, int batch) {
    return result.steps().stream()
        .filter(step -> step.shape().equals(new BenchPlan.Shape(length, batch)))
        .findFirst()
        .orElse(null);
  }

  private void decodings() {
    if (result.decodings().isEmpty()) {
      return;
    }
    line(
        "An answer after a prompt of %s tokens, alone"
            .formatted(result.decodings().getFirst().promptLength()));
    String format = "  %-34s %s %12s %8s";
    line(format.formatted("gen:block:steps:rule:cache", cell("ms"), "tokens/s", "passes"));
    for (BenchResult.DecodingTime answer : result.decodings()) {
      line(
          format.formatted(
              answer.decoding().text(),
              cell(Figures.median(answer.ms())),
              Figures.number(answer.tokensPerSecond()),
              answer.passes()));
    }
    line("");
  }

  private void profile() {
    KernelProfile profile = result.profile();
    int launches = profile.kernels().stream().mapToInt(KernelProfile.Group::launches).sum();
    line(
        "A step of %s x %s tokens by kernel: %s ms in %s launches (%s ms with the gaps between)"
            .formatted(
                profile.shape().batch(),
                profile.shape().length(),
                Figures.number(profile.kernelMs()),
                launches,
                Figures.number(profile.stepMs().median())));
    int width =
        profile.kernels().stream().mapToInt(k -> k.label().length()).max().orElse(MIN_LABEL);
    double longest = profile.kernels().isEmpty() ? 1 : profile.kernels().getFirst().ms().median();
    for (KernelProfile.Group kernel : profile.kernels()) {
      double ms = kernel.ms().median();
      line(
          "  %s %4s x %8s ms %7s  %s%s"
              .formatted(
                  kernel.label() + " ".repeat(width - kernel.label().length()),
                  kernel.launches(),
                  Figures.number(ms),
                  Figures.percent(ms / profile.kernelMs()),
                  bar(ms / longest),
                  kernel.flops() > 0
                      ? "  " + Figures.number(kernel.gigaflops()) + " GFLOP/s"
                      : ""));
    }
  }

  /// A bar of eighths of a character.
  static String bar(double share) {
    int eighths = (int) Math.round(share * BAR_WIDTH * EIGHTHS.length());
    int rest = eighths % EIGHTHS.length();
    return "█".repeat(eighths / EIGHTHS.length()) + (rest == 0 ? "" : EIGHTHS.charAt(rest));
  }

  private static String cell(String content) {
    return ("%" + CELL_WIDTH + "s").formatted(content);
  }

  private void row(String name, String value) {
    line(("%-" + NAME_WIDTH + "s %s").formatted(name, value));
  }

  private void line(String line) {
    text.append(line.stripTrailing()).append('\n');
  }
}
