package dev.remask.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeSet;

/// A result as one page that needs nothing else: its charts are SVG in the text, its style stands
/// in it, and it asks no server for anything.
public final class BenchHtml {
  private static final String STYLE =
      """
      :root { color-scheme: light dark; --ink: #1d2733; --soft: #66727f; --rule: #d8dee5;
        --page: #ffffff; --c0: #2f6fb3; --c1: #d9822b; --c2: #3c9d6b; --c3: #a04fb0;
        --c4: #c23b4b; --c5: #6b7a8a; }
      @media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #9aa6b2;
        --rule: #38424d; --page: #14181d; --c0: #6ea8e5; --c1: #efa75d; --c2: #6cc79a;
        --c3: #c98bd6; --c4: #e9808c; --c5: #a3afbb; } }
      body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
        max-width: 860px; margin: 2rem auto; padding: 0 1rem; }
      h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
      table { border-collapse: collapse; width: 100%; }
      th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid var(--rule);
        font-variant-numeric: tabular-nums; }
      th:first-child, td:first-child { text-align: left; }
      th { color: var(--soft); font-weight: 600; }
      .facts td:last-child { text-align: left; } .note { color: var(--c4); }
      svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
      .grid { stroke: var(--rule); } .line { fill: none; stroke-width: 2; }
      .c0 { fill: var(--c0); stroke: var(--c0); } .c1 { fill: var(--c1); stroke: var(--c1); }
      .c2 { fill: var(--c2); stroke: var(--c2); } .c3 { fill: var(--c3); stroke: var(--c3); }
      .c4 { fill: var(--c4); stroke: var(--c4); } .c5 { fill: var(--c5); stroke: var(--c5); }
      path.line { fill: none; }
      """;

  private final StringBuilder page = new StringBuilder();
  private final BenchResult result;

  private BenchHtml(BenchResult result) {
    this.result = result;
  }

  /// Writes the page. Throws UncheckedIOException if the file cannot be written.
  ///
  /// @param result to be told
  /// @param file to be made or replaced
  public static void write(BenchResult result, Path file) {
    try {
      Files.writeString(file, of(result));
    } catch (IOException e) {
      throw new UncheckedIOException(file + ": the report cannot be written: " + e.getMessage(), e);
    }
  }

  static String of(BenchResult result) {
    var writer = new BenchHtml(result);
    writer.page();
    return writer.page.toString();
  }

  private void page() {
    String title = "Remask: " + result.model().getOrDefault("model", "a model");
    page.append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>")
        .append(Svg.escaped(title))
        .append("</title>\n<style>\n")
        .append(STYLE)
        .append("</style></head><body>\n<h1>")
        .append(Svg.escaped(title))
        .append("</h1>\n");
    result
        .notes()
        .forEach(
            note -> page.append("<p class=\"note\">").append(Svg.escaped(note)).append("</p>\n"));
    profile();
    steps();
    decodings();
    load();
    memory();
    heading("Measured with");
    facts(result.model());
    facts(result.machine());
    page.append(
        """
        <p>Every figure is the median of rounds in which all cases took turns; ± is half of what lies
        between the quartiles, as a part of the median.</p>
        </body></html>
        """);
  }

  private void profile() {
    KernelProfile profile = result.profile();
    heading(
        "A step of %s × %s tokens, by kernel: %s ms"
            .formatted(
                profile.shape().batch(),
                profile.shape().length(),
                Figures.number(profile.kernelMs())));
    var bars = new ArrayList<Svg.Bar>();
    var rows = new ArrayList<List<String>>();
    for (KernelProfile.Group kernel : profile.kernels()) {
      double ms = kernel.ms().median();
      String share = Figures.percent(ms / profile.kernelMs());
      bars.add(new Svg.Bar(kernel.label(), ms, Figures.number(ms) + " ms, " + share));
      rows.add(
          List.of(
              kernel.label(),
              String.valueOf(kernel.launches()),
              Figures.median(kernel.ms()),
              share,
              kernel.flops() > 0 ? Figures.number(kernel.gigaflops()) : ""));
    }
    page.append(Svg.bars(bars));
    table(List.of("kernel", "launches", "ms", "share", "GFLOP/s"), rows);
    page.append("<p>Each kernel launched by itself, between two events; from the first to the last")
        .append(" of a step ")
        .append(Figures.median(profile.stepMs()))
        .append(" ms, the gaps included.</p>\n");
  }

  private void steps() {
    if (result.steps().isEmpty()) {
      return;
    }
    heading("A step by canvas length and batch, ms");
    var batches = new TreeSet<Integer>();
    var lengths = new TreeSet<Integer>();
    for (BenchResult.StepTime step : result.steps()) {
      batches.add(step.shape().batch());
      lengths.add(step.shape().length());
    }
    var series = new ArrayList<Svg.Series>();
    for (int batch : batches) {
      var points = new ArrayList<double[]>();
      for (int length : lengths) {
        BenchResult.StepTime step = find(length, batch);
        if (step != null) {
          Samples ms = step.ms();
          points.add(new double[] {length, ms.median(), ms.least(), ms.most()});
        }
      }
      series.add(new Svg.Series(batch + " at once", points));
    }
    page.append(Svg.lines(series, "tokens of a canvas", "ms"));
    var head = new ArrayList<String>(List.of("tokens"));
    batches.forEach(batch -> head.add(batch + " ×"));
    var rows = new ArrayList<List<String>>();
    for (int length : lengths) {
      var row = new ArrayList<String>(List.of(String.valueOf(length)));
      for (int batch : batches) {
        BenchResult.StepTime step = find(length, batch);
        row.add(step == null ? "" : Figures.median(step.ms()));
      }
      rows.add(row);
    }
    table(head, rows);
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
    heading("Answers, tokens per second");
    var bars = new ArrayList<Svg.Bar>();
    var rows = new ArrayList<List<String>>();
    for (BenchResult.DecodingTime answer : result.decodings()) {
      String speed = Figures.number(answer.tokensPerSecond());
      bars.add(new Svg.Bar(answer.decoding().text(), answer.tokensPerSecond(), speed));
      rows.add(
          List.of(
              answer.decoding().text(),
              Figures.median(answer.ms()),
              speed,
              String.valueOf(answer.passes())));
    }
    page.append(Svg.bars(bars));
    table(List.of("gen:block:steps:rule:cache", "ms", "tokens/s", "passes"), rows);
  }

  private void load() {
    heading("Load and first step, ms");
    BenchResult.Load load = result.load();
    table(
        List.of("", "first in the process", "again"),
        List.of(
            List.of("load", Figures.number(load.firstMs()), Figures.median(load.ms())),
            List.of(
                "first step", Figures.number(load.firstStepMs()), Figures.median(load.stepMs()))));
  }

  private void memory() {
    heading("Memory");
    BenchResult.Memory memory = result.memory();
    var bars = new ArrayList<Svg.Bar>();
    add(bars, "device, planned", OptionalLong.of(memory.plannedBytes()));
    add(bars, "device, found at the most", OptionalLong.of(memory.deviceBytes()));
    add(bars, "weights on disk", OptionalLong.of(memory.weightFileBytes()));
    add(bars, "host, before the load", memory.hostBeforeBytes());
    add(bars, "host, at the most", memory.hostPeakBytes());
    page.append(Svg.bars(bars));
  }

  private static void add(List<Svg.Bar> bars, String label, OptionalLong bytes) {
    bytes.ifPresent(value -> bars.add(new Svg.Bar(label, value, ByteSizes.text(value))));
  }

  private void heading(String text) {
    page.append("<h2>").append(Svg.escaped(text)).append("</h2>\n");
  }

  private void facts(Map<String, String> facts) {
    page.append("<table class=\"facts\">");
    facts.forEach((name, value) -> row("td", List.of(name.replace('_', ' '), value)));
    page.append("</table>\n");
  }

  private void table(List<String> head, List<List<String>> rows) {
    page.append("<table>");
    row("th", head);
    rows.forEach(row -> row("td", row));
    page.append("</table>\n");
  }

  private void row(String cell, List<String> cells) {
    page.append("<tr>");
    for (String content : cells) {
      page.append('<').append(cell).append('>').append(Svg.escaped(content));
      page.append("</").append(cell).append('>');
    }
    page.append("</tr>\n");
  }
}
