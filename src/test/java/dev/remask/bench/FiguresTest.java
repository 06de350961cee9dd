package dev.remask.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.LoadOptions;
import dev.remask.RequestException;
import dev.remask.cuda.LaunchRecorder.Launch;
import dev.remask.diffusion.CacheMode;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.Remasking;
import dev.remask.model.ModelConfig;
import dev.remask.model.ModelException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The arithmetic of measuring: medians, lines, plans, groups of kernels, memory.
class FiguresTest {
  private static final SyntheticModel TINY = SyntheticModel.parse("tiny");

  static Samples samples(double... values) {
    var samples = new Samples();
    for (double value : values) {
      samples.add(value);
    }
    return samples;
  }

  static BenchPlan plan(List<Integer> lengths, List<Integer> batches, String... decodings) {
    List<Decoding> all = List.of(decodings).stream().map(Decoding::parse).toList();
    return new BenchPlan(lengths, batches, 32, 4, 16, all, 2, 10, 64, 2);
  }

  @Test
  void median_andSpread() {
    assertEquals(3, samples(5, 1, 3).median());
    assertEquals(2.5, samples(4, 1, 2, 3).median());
    // Quartiles 2 and 4.
    assertEquals(1.0 / 3, samples(1, 2, 3, 4, 5).spread(), 1e-12);
    assertEquals(0, samples(7).spread());
    assertEquals(1, samples(5, 1, 3).least());
    assertEquals(5, samples(5, 1, 3).most());
    assertTrue(Double.isNaN(samples().median()));
  }

  @Test
  void numbers_areTheSameInEveryLocale() {
    Locale before = Locale.getDefault();
    try {
      Locale.setDefault(Locale.GERMANY);
      assertEquals("0.123", Figures.number(0.1234));
      assertEquals("3.14", Figures.number(3.1415));
      assertEquals("31.4", Figures.number(31.415));
      assertEquals("3142", Figures.number(3141.5));
      assertEquals("12.3 %", Figures.percent(0.1234));
      assertEquals("-50.0 %", Figures.change(4, 2));
      assertEquals("3.00 ± 33 %", Figures.median(samples(1, 2, 3, 4, 5)));
      assertEquals("1.50 KiB", ByteSizes.text(1536));
    } finally {
      Locale.setDefault(before);
    }
  }

  private static BenchResult.StepTime step(int tokens, int batch, double... ms) {
    return new BenchResult.StepTime(new BenchPlan.Shape(tokens, batch), 32, samples(ms));
  }

  @Test
  void line_throughWhatLiesOnOne() {
    Line line = Line.through(List.of(step(64, 1, 3.28), step(128, 1, 4.56), step(512, 1, 12.24)));
    assertEquals(2, line.ms(), 1e-9);
    assertEquals(0.02, line.msPerToken(), 1e-12);
    assertEquals(0, line.deviation(), 1e-9);
    Line bent = Line.through(List.of(step(64, 1, 1), step(128, 1, 2), step(256, 1, 8)));
    assertTrue(bent.deviation() > 0.2, bent::toString);
  }

  @Test
  void decodings_areRead() {
    DiffusionOptions options = Decoding.parse("128:32:64").options();
    assertEquals(128, options.genLength());
    assertEquals(32, options.blockLength());
    assertEquals(64, options.steps().orElseThrow());
    assertEquals(Remasking.LOW_CONFIDENCE, options.remasking());
    options = Decoding.parse(" 64:64:T0.9:margin:DUAL ").options();
    assertEquals(0.9, options.threshold().orElseThrow());
    assertEquals(Remasking.MARGIN, options.remasking());
    assertEquals(CacheMode.DUAL, options.cache());
    assertEquals(1, Decoding.parse("64:32:f1").options().factor().orElseThrow());
    assertEquals(CacheMode.PREFIX, Decoding.parse("64:32:8::prefix").options().cache());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "64",
        "64:32",
        "64:32:",
        "64:x:8",
        "64:32:8:best",
        "64:32:8::triple",
        "1:1:1:::",
        "64:32:tt"
      })
  void decodings_thatAreNone_areRefused(String text) {
    var refused = assertThrows(RequestException.class, () -> Decoding.parse(text));
    assertTrue(refused.getMessage().contains("64:32:t0.9"), refused::getMessage);
  }

  @Test
  void plan_asksForTheMemoryOfItsLargestStep() {
    BenchPlan plan = plan(List.of(64, 256), List.of(1, 4), "128:64:64");
    LoadOptions options = plan.limits(TINY.config(), LoadOptions.defaults());
    assertEquals(4 * 256, options.maxTokens());
    assertEquals(4 * 32, options.maxRows());
    LoadOptions given = plan.limits(TINY.config(), LoadOptions.defaults().withMaxTokens(300));
    assertEquals(300, given.maxTokens());
    // Beyond the longest sequence there is nothing to plan for.
    BenchPlan longer = plan(List.of(64, 100_000), List.of(1), "99999:1:1");
    assertEquals(128, longer.limits(TINY.config(), LoadOptions.defaults()).maxTokens());
    assertEquals(1, longer.shapes(TINY.config()).size());
    assertEquals(List.of(), longer.decodings(TINY.config()));
  }

  @Test
  void plan_refusesNonsense() {
    assertThrows(RequestException.class, () -> plan(List.of(0), List.of(1)));
    assertThrows(RequestException.class, () -> plan(List.of(64), List.of(0)));
    assertThrows(
        RequestException.class,
        () -> new BenchPlan(List.of(), List.of(), 32, 4, 16, List.of(), 2, -1, 64, 2));
  }

  private static Launch launch(String kernel, long begin, long nanos, Integer... sizes) {
    return new Launch(kernel, List.of(sizes), begin, nanos, begin - 1000, 500);
  }

  @Test
  void kernels_areGroupedByWhatTheyAreFor() {
    ModelConfig config = TINY.config();
    var launches = new ArrayList<Launch>();
    for (int step = 0; step < 3; step++) {
      long at = step * 10_000_000L;
      // The first step is slow, and not to be counted.
      long slow = step == 0 ? 100 : 1;
      launches.add(launch("lay_rows", at, 1000 * slow, 1));
      launches.add(launch("gemm_bf16_bf16", at + 10_000, 2_000_000 * slow, 64, 1536, 256));
      launches.add(launch("gemm_packed_x", at + 3_000_000, 500_000, 5, 64, 256, 768));
      launches.add(launch("rmsnorm_bf16", at + 4_000_000, 250_000, 64, 256));
      launches.add(launch("rmsnorm_bf16", at + 5_000_000, 250_000, 64, 256));
    }
    var roles = new KernelProfile.Roles(config);
    var shape = new BenchPlan.Shape(64, 1);
    KernelProfile profile = KernelProfile.of(shape, launches, roles, 1);
    assertEquals(2, profile.steps());
    assertEquals(
        List.of("gate and up (gemm_bf16_bf16)", "down (gemm_packed_x)", "rmsnorm_bf16", "lay_rows"),
        profile.kernels().stream().map(KernelProfile.Group::label).toList());
    KernelProfile.Group gate = profile.kernels().getFirst();
    assertEquals(2, gate.ms().median());
    assertEquals(2.0 * 64 * 1536 * 256, gate.flops());
    assertEquals(2.0 * 64 * 1536 * 256 / 2e-3 / 1e9, gate.gigaflops(), 1e-9);
    KernelProfile.Group norm = profile.kernels().get(2);
    assertEquals(2, norm.launches());
    assertEquals(0.5, norm.ms().median());
    assertEquals(0, norm.flops());
    assertEquals(3.001, profile.kernelMs(), 1e-9);
    assertEquals(5.25, profile.stepMs().median(), 1e-9);
  }

  @Test
  void memory_isCheckedWithAdvice() {
    SyntheticModel llada = SyntheticModel.parse("llada-8b");
    BenchPlan plan = plan(List.of(512), List.of(1));
    LoadOptions options = LoadOptions.defaults();
    MemoryCheck.require(llada, options, plan, 24L << 30, "a card");
    var refused =
        assertThrows(
            ModelException.class,
            () -> MemoryCheck.require(llada, options, plan, 10L << 30, "a card"));
    String message = refused.getMessage();
    assertTrue(message.contains("10.00 GiB are free on a card"), message);
    int layers = Integer.parseInt(message.replaceFirst("(?s).*--layers (\\d+).*", "$1"));
    MemoryCheck.require(llada.withLayers(layers), options, plan, 10L << 30, "a card");
    assertThrows(
        ModelException.class,
        () ->
            MemoryCheck.require(llada.withLayers(layers + 1), options, plan, 10L << 30, "a card"));
    var nothing =
        assertThrows(
            ModelException.class,
            () -> MemoryCheck.require(llada, options, plan, 1L << 30, "a card"));
    assertTrue(nothing.getMessage().contains("not even a layer"), nothing::getMessage);
  }

  @Test
  void ticks_areRound() {
    assertEquals(100, Svg.step(500));
    assertEquals(200, Svg.step(512));
    assertEquals(0.5, Svg.step(2.4));
    assertEquals(0.02, Svg.step(0.1));
  }

  @Test
  void bars_areAsLongAsTheirShare() {
    assertEquals("█".repeat(24), BenchText.bar(1));
    assertEquals("█".repeat(12), BenchText.bar(0.5));
    assertEquals("▏", BenchText.bar(1.0 / 24 / 8));
    assertEquals("", BenchText.bar(0));
  }
}
