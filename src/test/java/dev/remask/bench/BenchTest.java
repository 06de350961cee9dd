package dev.remask.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.LoadOptions;
import dev.remask.RequestException;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.model.ProgressListener;
import dev.remask.testing.TestDevices;
import java.io.StringReader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CancellationException;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.xml.sax.InputSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// A whole measurement of a small model, and everything that is made of it.
class BenchTest {
  private static final SyntheticModel MODEL = new SyntheticModel(128, 2, 2, 1, 192, 515, 128, 3);

  @TempDir static Path folder;

  private static Path model;
  private static BenchResult result;
  private static final List<String> HEARD = new ArrayList<>();

  private static LoadOptions options() {
    return LoadOptions.defaults().withDevice(TestDevices.software());
  }

  @BeforeAll
  static void measure() {
    model = SyntheticFiles.cached(MODEL, folder, ProgressListener.NONE);
    var plan =
        new BenchPlan(
            List.of(32, 64, 96, 256),
            List.of(1, 3),
            16,
            2,
            8,
            List.of(
                Decoding.parse("16:16:4"),
                Decoding.parse("32:16:4::dual"),
                Decoding.parse("512:32:512")),
            2,
            60,
            64,
            2);
    long before = SoftwareDevice.liveAllocations();
    result =
        Bench.run(
            model, "a <small> model", options(), plan, Map.of("REMASK_THREADS", "2"), HEARD::add);
    assertEquals(before, SoftwareDevice.liveAllocations(), "nothing is left on the device");
  }

  @Test
  void everythingAskedFor_isMeasured() {
    assertEquals(6, result.steps().size());
    for (BenchResult.StepTime step : result.steps()) {
      assertEquals(2, step.ms().count());
      assertTrue(step.ms().least() > 0);
      assertEquals(16, step.masks());
    }
    assertEquals(2, result.decodings().size());
    assertEquals(4, result.decodings().getFirst().passes());
    assertTrue(result.decodings().getFirst().tokensPerSecond() > 0);
    assertEquals(2, result.rounds());
    assertTrue(result.load().firstMs() > 0);
    assertEquals(2, result.load().ms().count());
    assertEquals(2, result.load().stepMs().count());
    assertEquals("2", result.machine().get("REMASK_THREADS"));
  }

  @Test
  void whatDoesNotFit_isTold() {
    List<String> notes = result.notes();
    assertTrue(notes.stream().anyMatch(note -> note.contains("256 tokens")), notes::toString);
    assertTrue(notes.stream().anyMatch(note -> note.contains("512:32:512")), notes::toString);
  }

  @Test
  void memory_isAsPlannedWithinFivePercent() {
    BenchResult.Memory memory = result.memory();
    assertTrue(memory.plannedBytes() > SyntheticFiles.bytes(MODEL));
    assertEquals(memory.plannedBytes(), memory.deviceBytes(), 0.05 * memory.plannedBytes());
    assertTrue(memory.weightFileBytes() > SyntheticFiles.bytes(MODEL));
    assertTrue(memory.hostPeakBytes().orElseThrow() >= memory.hostBeforeBytes().orElseThrow());
  }

  @Test
  void profile_tellsAStep() {
    KernelProfile profile = result.profile();
    List<String> labels = profile.kernels().stream().map(KernelProfile.Group::label).toList();
    for (String wanted :
        List.of("queries, keys, values", "attention output", "gate and up", "down")) {
      assertTrue(labels.stream().anyMatch(l -> l.startsWith(wanted + " (")), labels::toString);
    }
    assertEquals(8, profile.steps(), "ten, of which two warm up");
    for (KernelProfile.Group kernel : profile.kernels()) {
      // It computes fewer rows than it is given: a rate by these would be too good.
      boolean countable =
          kernel.kernel().startsWith("gemm") || kernel.kernel().startsWith("cublas");
      assertEquals(countable, kernel.flops() > 0, kernel.label());
    }
    assertTrue(profile.kernelMs() <= 1.01 * profile.stepMs().median(), profile::toString);
    for (KernelProfile.Group kernel : profile.kernels()) {
      assertEquals(8, kernel.ms().count(), kernel.label());
    }
  }

  @Test
  void progress_isTold() {
    assertEquals("loading a <small> model", HEARD.getFirst());
    assertTrue(HEARD.contains("warm-up: step of 3 x 64 tokens"), HEARD::toString);
    assertTrue(HEARD.contains("round 2 of 2: answer 16:16:4"), HEARD::toString);
  }

  @Test
  void text_holdsTheFigures() {
    String text = BenchText.of(result);
    for (String wanted :
        List.of(
            "a <small> model",
            "planned",
            "first step",
            "3 x",
            "µs a token",
            "16:16:4",
            "tokens/s",
            "A step of 2 x 64 tokens by kernel",
            "GFLOP/s",
            "note: left out")) {
      assertTrue(text.contains(wanted), wanted + " in\n" + text);
    }
  }

  @Test
  void json_holdsEverySample() {
    JsonNode json = JsonMapper.shared().readTree(BenchJson.of(result));
    assertEquals(6, json.get("steps").size());
    JsonNode step = json.get("steps").get(0);
    assertEquals(2, step.get("ms").get("samples").size());
    double median = step.get("ms").get("median").doubleValue();
    assertEquals(result.steps().getFirst().ms().median(), median, 1e-4);
    assertEquals(2, json.get("lines").size());
    assertEquals("32:16:4::dual", json.get("answers").get(1).get("decoding").stringValue());
    assertTrue(json.get("memory").get("planned_bytes").longValue() > 0);
    assertEquals(result.profile().kernels().size(), json.get("profile").get("kernels").size());
    assertEquals("a <small> model", json.get("model").get("model").stringValue());
  }

  @Test
  void html_isWholeAndNeedsNothingElse() throws Exception {
    String html = BenchHtml.of(result);
    assertTrue(html.contains("a &lt;small&gt; model"));
    for (String foreign : List.of("src=", "href=", "@import", "url(", "<script")) {
      assertFalse(html.contains(foreign), foreign);
    }
    assertEquals(
        4, html.split("<svg ", -1).length - 1, "kernels, steps, answers and memory are drawn");
    // But for the first line and a void element it is XML, too: every element is closed.
    String xml = html.substring(html.indexOf("<html")).replace("\"utf-8\">", "\"utf-8\"/>");
    var document =
        DocumentBuilderFactory.newInstance()
            .newDocumentBuilder()
            .parse(new InputSource(new StringReader(xml)));
    assertEquals(6, document.getElementsByTagName("h2").getLength());
  }

  /// Digits of the locale would break charts and JSON.
  @Test
  void figures_areTheSameInEveryLocale() {
    List<String> wanted =
        List.of(BenchText.of(result), BenchHtml.of(result), BenchJson.of(result), MODEL.name());
    Locale before = Locale.getDefault();
    Locale.setDefault(Locale.of("ar", "EG"));
    try {
      assertEquals(
          wanted,
          List.of(BenchText.of(result), BenchHtml.of(result), BenchJson.of(result), MODEL.name()));
    } finally {
      Locale.setDefault(before);
    }
  }

  @Test
  void trace_hasProgramHostAndDevice() {
    JsonNode events = JsonMapper.shared().readTree(result.trace().json()).get("traceEvents");
    var names = new ArrayList<String>();
    var tracks = new int[4];
    double end = 0;
    for (JsonNode event : events) {
      if (event.get("ph").stringValue().equals("X")) {
        names.add(event.get("name").stringValue());
        int track = event.get("tid").intValue();
        tracks[track]++;
        assertTrue(event.get("ts").doubleValue() >= 0, event::toString);
        assertTrue(event.get("dur").doubleValue() >= 0, event::toString);
        if (track == 3) {
          assertTrue(event.get("ts").doubleValue() >= end - 1, "kernels do not overlap");
          end = event.get("ts").doubleValue() + event.get("dur").doubleValue();
        }
      }
    }
    assertTrue(names.contains("load") && names.contains("profile"), names::toString);
    assertTrue(tracks[1] > 20, "spans of the program");
    assertEquals(tracks[2], tracks[3], "each launch on the host and on the device");
    assertTrue(tracks[3] > 10 * 20, "launches of ten steps");
  }

  @Test
  void whatTakesTooLong_isLeftOut() {
    var plan = new BenchPlan(List.of(32, 64), List.of(1), 16, 2, 8, List.of(), 5, 1e-9, 32, 1);
    BenchResult hasty = Bench.run(model, "small", options(), plan, Map.of(), Bench.Listener.NONE);
    assertEquals(1, hasty.steps().size());
    assertEquals(1, hasty.steps().getFirst().ms().count());
    assertTrue(
        hasty.notes().stream().anyMatch(note -> note.contains("step of 1 x 64 tokens")),
        hasty.notes()::toString);
    assertTrue(
        hasty.notes().contains("1 of 5 rounds in the time given: --seconds gives more"),
        hasty.notes()::toString);
  }

  /// What was given is a limit, and what lies beyond it does not cost the rest.
  @Test
  void limitsThatAreGiven_leaveOutWhatIsBeyond() {
    var plan =
        new BenchPlan(
            List.of(32, 64, 32),
            List.of(1, 3),
            16,
            2,
            8,
            List.of(Decoding.parse("16:16:4"), Decoding.parse("16:16:4::dual")),
            1,
            60,
            128,
            4);
    LoadOptions few =
        options().withMaxTokens(48).withMaxRows(32).withMaxSequences(2).withMaxCacheTokens(1);
    BenchResult limited = Bench.run(model, "small", few, plan, Map.of(), Bench.Listener.NONE);
    assertEquals(
        List.of(new BenchPlan.Shape(32, 1)),
        limited.steps().stream().map(BenchResult.StepTime::shape).toList());
    assertEquals(
        List.of("16:16:4"), limited.decodings().stream().map(d -> d.decoding().text()).toList());
    assertEquals(new BenchPlan.Shape(24, 2), limited.profile().shape());
    List<String> notes = limited.notes();
    assertTrue(notes.stream().anyMatch(note -> note.contains("3 x 32 tokens")), notes::toString);
    assertTrue(notes.stream().anyMatch(note -> note.contains("max-cache-tokens")), notes::toString);
    assertTrue(
        notes.stream().anyMatch(note -> note.contains("kernel by kernel: 2 x 24 tokens")),
        notes::toString);
  }

  @Test
  void limitsForNoStepAtAll_areRefusedBeforeTheLoad() {
    var plan = new BenchPlan(List.of(), List.of(), 16, 2, 8, List.of(), 1, 60, 2, 1);
    LoadOptions one = options().withMaxTokens(1);
    var refused =
        assertThrows(
            RequestException.class,
            () -> Bench.run(model, "small", one, plan, Map.of(), Bench.Listener.NONE));
    assertEquals("max_tokens", refused.field());
  }

  @Test
  void interrupting_endsIt() {
    long before = SoftwareDevice.liveAllocations();
    var plan = new BenchPlan(List.of(64), List.of(1), 16, 8, 8, List.of(), 1000, 60, 32, 1);
    Bench.Listener impatient =
        what -> {
          if (what.startsWith("round 3 ")) {
            Thread.currentThread().interrupt();
          }
        };
    assertThrows(
        CancellationException.class,
        () -> Bench.run(model, "small", options(), plan, Map.of(), impatient));
    assertTrue(Thread.interrupted());
    assertEquals(before, SoftwareDevice.liveAllocations());
  }
}
