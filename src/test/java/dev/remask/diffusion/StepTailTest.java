package dev.remask.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.remask.cuda.Context;
import dev.remask.cuda.DeviceMemory;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.PinnedMemory;
import dev.remask.cuda.Stream;
import dev.remask.kernel.DType;
import dev.remask.kernel.Operations;
import dev.remask.kernel.SpecialTokens;
import dev.remask.model.WorkspaceLimits;
import dev.remask.testing.GpuTest;
import dev.remask.testing.OnSoftwareDevices;
import dev.remask.testing.Seed;
import dev.remask.testing.TestDevices;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/// Selection, commit and advance over a whole generation of a mixed batch, against the plain
/// sampler: the logits are made up, so every option meets every quota, tie and block.
class StepTailTest {
  private static final int COLUMNS = 320;
  private static final SpecialTokens TOKENS = new SpecialTokens(300, 299, 297, 298);
  private static final WorkspaceLimits LIMITS = new WorkspaceLimits(512, 128, 16);

  /// Keys are sums of 320 f32 exponentials: relative error below 320 · 2⁻²³.
  private static final double CONFIDENCE_TOLERANCE = 320 * 0x1p-23;

  private static List<DiffusionOptions> options(SplittableRandom random) {
    var options = new ArrayList<DiffusionOptions>();
    for (int i = 0; i < 6; i++) {
      int block = 1 + random.nextInt(12);
      int blocks = 1 + random.nextInt(3);
      options.add(
          DiffusionOptions.builder()
              .genLength(block * blocks)
              .blockLength(block)
              .steps(blocks * (1 + random.nextInt(15)))
              .cfgScale(i % 2 == 0 ? 0 : random.nextInt(1, 4) * 0.5)
              .remasking(i < 4 ? Remasking.LOW_CONFIDENCE : Remasking.RANDOM)
              .suppressEos(random.nextInt(3) == 0)
              .deferEos(random.nextInt(2) == 0)
              .seed(random.nextLong())
              .build());
    }
    return options;
  }

  /// Logits that depend on where they stand only. Some rows are all but certain, some full of ties,
  /// some want to end.
  private static float[] logits(
      long seed, int sequence, int step, int position, boolean unconditional) {
    long where = ((sequence * 1000L + step) * 1000L + position) * 2 + (unconditional ? 1 : 0);
    var random = new SplittableRandom(seed ^ where * 0x9E3779B97F4A7C15L);
    int kind = random.nextInt(4);
    double deviation = kind == 0 ? 12 : 3;
    float[] row = new float[COLUMNS];
    for (int id = 0; id < COLUMNS; id++) {
      double logit = random.nextGaussian() * deviation;
      row[id] = (float) (kind == 1 ? Math.rint(logit) : logit);
    }
    // The mask and ids beyond the vocabulary are often the largest: they must not be chosen.
    row[TOKENS.mask()] += 5;
    row[310] += 5;
    if (random.nextInt(3) == 0) {
      row[random.nextBoolean() ? TOKENS.eos() : TOKENS.eot()] += 20;
    }
    return row;
  }

  @OnSoftwareDevices
  void mixedBatch_commitsWhatThePlainSamplerCommits(DeviceSpec device) {
    int rounds = device.equals(TestDevices.emulator()) ? 2 : 20;
    for (int round = 0; round < rounds; round++) {
      Seed seed = Seed.fresh();
      try {
        Context context = TestDevices.context(device);
        context.run(() -> check(context, seed.random()));
      } catch (AssertionError e) {
        throw new AssertionError(seed + ": " + e.getMessage(), e);
      }
    }
  }

  @GpuTest
  void mixedBatch_commitsWhatThePlainSamplerCommits_gpu(DeviceSpec gpu) {
    mixedBatch_commitsWhatThePlainSamplerCommits(gpu);
  }

  private static void check(Context context, SplittableRandom random) {
    long logitSeed = random.nextLong();
    List<DiffusionOptions> options = options(random);
    var prompts = new ArrayList<int[]>();
    options.forEach(o -> prompts.add(random.ints(random.nextInt(9), 0, 297).toArray()));
    Packing packing = Packing.of(prompts, options, LIMITS);
    List<Denoised> answers = denoise(context, packing, logitSeed);
    for (int s = 0; s < options.size(); s++) {
      int sequence = s;
      List<Commit> expected =
          new ReferenceSampler(
                  TOKENS,
                  options.get(s),
                  prompts.get(s).length,
                  (step, position, unconditional) ->
                      logits(logitSeed, sequence, step, position, unconditional))
              .run();
      List<Commit> actual = answers.get(s).trace();
      String what = "sequence " + s + " " + options.get(s);
      assertEquals(GoldenCases.commits(expected), GoldenCases.commits(actual), what);
      for (int i = 0; i < expected.size(); i++) {
        assertEquals(
            expected.get(i).confidence(),
            actual.get(i).confidence(),
            CONFIDENCE_TOLERANCE,
            what + " " + expected.get(i));
      }
    }
  }

  private static List<Denoised> denoise(Context context, Packing packing, long logitSeed) {
    long logitBytes = (long) packing.logitsRows * COLUMNS * Float.BYTES;
    try (Stream stream = context.newStream();
        Operations operations = Operations.load(context, DType.F32);
        DenoiserMemory memory = new DenoiserMemory(context, LIMITS, COLUMNS);
        DeviceMemory canvas = context.allocate((long) packing.tokens * Integer.BYTES);
        DeviceMemory rowIndex = context.allocate((long) packing.logitsRows * Integer.BYTES);
        DeviceMemory logits = context.allocate(logitBytes);
        PinnedMemory staging = context.allocatePinned(logitBytes)) {
      var buffers = new StepBuffers(canvas.buffer(), rowIndex.buffer(), logits.buffer());
      var state = new BatchState(memory, packing, buffers, TOKENS);
      state.upload(stream);
      for (int pass = 0; pass < packing.passes; pass++) {
        writeLogits(packing, pass, logitSeed, staging.buffer(0, (int) logitBytes).asFloatBuffer());
        stream.copyToDevice(logits.buffer(), staging, 0, logitBytes);
        StepTail.enqueue(stream, operations, memory, buffers, packing, COLUMNS, TOKENS);
        stream.synchronize();
      }
      state.download(stream, true);
      stream.synchronize();
      return state.results(true, 0);
    }
  }

  private static void writeLogits(Packing packing, int pass, long logitSeed, FloatBuffer target) {
    for (int i = 0; i < target.capacity(); i++) {
      target.put(i, Float.NaN); // rows of sequences that are done must not matter
    }
    for (int s = 0; s < packing.slots.size(); s++) {
      Packing.Slot slot = packing.slots.get(s);
      if (pass >= slot.plan().size()) {
        continue;
      }
      int step = slot.plan().step(pass);
      for (int i = 0; i < slot.options().blockLength(); i++) {
        int position = slot.plan().blockBegin(pass) + i;
        target.put((slot.rowBegin() + i) * COLUMNS, logits(logitSeed, s, step, position, false));
        if (slot.guided()) {
          target.put(
              (slot.unconditionalRowBegin() + i) * COLUMNS,
              logits(logitSeed, s, step, position, true));
        }
      }
    }
  }
}
