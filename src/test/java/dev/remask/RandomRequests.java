package dev.remask;

import dev.remask.diffusion.CacheMode;
import dev.remask.diffusion.Constraints;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.Remasking;
import dev.remask.diffusion.Schedule;
import java.util.Random;
import java.util.function.BooleanSupplier;

/// Requests with any mixture of options, valid or not, over ids below a vocabulary's size; small,
/// so that a tiny model runs them quickly.
public final class RandomRequests {
  private static final int MOST_MASKS = 12;

  private final Random random;
  private final int vocabulary;

  private RandomRequests(Random random, int vocabulary) {
    this.random = random;
    this.vocabulary = vocabulary;
  }

  /// A request by token ids.
  public static GenerateRequest next(Random random, int vocabulary) {
    return new RandomRequests(random, vocabulary).request();
  }

  private GenerateRequest request() {
    // Each request has its own appetite: with every option at one half hardly any would be valid.
    double appetite = random.nextDouble() * 0.5;
    BooleanSupplier some = () -> random.nextDouble() < appetite;
    var request = GenerateRequest.builder();
    var options = DiffusionOptions.builder();
    int masks = 1 + random.nextInt(MOST_MASKS);
    boolean canvas = random.nextInt(4) == 0;
    if (canvas) {
      request.canvasIds(canvas(masks));
    } else {
      request.promptIds(ids(random.nextInt(6)));
      options.genLength(masks);
    }
    addLengths(options, masks, some);
    addRules(options, some);
    addRest(options, some);
    if (some.getAsBoolean() && some.getAsBoolean()) {
      request.negativePromptIds(ids(random.nextInt(6)));
      options.cfgScale(random.nextDouble());
    }
    if (some.getAsBoolean()) {
      request.constraints(constraints(masks));
    }
    return request.trace(random.nextBoolean()).options(options.build()).build();
  }

  private int[] canvas(int masks) {
    int[] ids = ids(masks + random.nextInt(6));
    for (int i = 0; i < masks; i++) {
      ids[random.nextInt(ids.length)] = GenerateRequest.MASK;
    }
    return ids;
  }

  private int[] ids(int count) {
    return random.ints(count, 0, vocabulary).toArray();
  }

  private void addLengths(DiffusionOptions.Builder options, int masks, BooleanSupplier some) {
    int block = masks;
    if (some.getAsBoolean()) {
      block = random.nextInt(3) == 0 ? 1 + random.nextInt(MOST_MASKS) : divisor(masks);
      options.blockLength(block);
    }
    if (some.getAsBoolean() && some.getAsBoolean()) {
      options.maxGenLength(masks + block * random.nextInt(3));
    }
    int blocks = Math.ceilDiv(masks, block);
    if (some.getAsBoolean()) {
      options.steps(random.nextInt(8) == 0 ? random.nextInt(9) : blocks * (1 + random.nextInt(6)));
    } else if (some.getAsBoolean()) {
      options.stepsPerBlock(random.ints(blocks, 1, 8).toArray());
    }
    if (some.getAsBoolean()) {
      options.schedule(
          switch (random.nextInt(3)) {
            case 0 -> Schedule.cosine();
            case 1 -> Schedule.linear();
            default -> Schedule.of(1, 0.6, 0.1 + random.nextDouble() / 4, 0);
          });
    }
  }

  private int divisor(int number) {
    int divisor = 1 + random.nextInt(number);
    while (number % divisor != 0) {
      divisor--;
    }
    return divisor;
  }

  private void addRules(DiffusionOptions.Builder options, BooleanSupplier some) {
    if (some.getAsBoolean()) {
      options.remasking(Remasking.values()[random.nextInt(Remasking.values().length)]);
    }
    if (some.getAsBoolean()) {
      options.threshold(random.nextDouble() * 1.02);
    }
    if (some.getAsBoolean()) {
      options.factor(random.nextDouble() * 3);
    }
    if (some.getAsBoolean()) {
      options.revisionBudget(random.nextInt(6));
      if (random.nextBoolean()) {
        options.revisionThreshold(random.nextDouble());
      }
    }
  }

  private void addRest(DiffusionOptions.Builder options, BooleanSupplier some) {
    if (some.getAsBoolean()) {
      options.temperature(random.nextDouble() * 2);
    }
    if (some.getAsBoolean()) {
      options.topK(random.nextInt(20));
    }
    if (some.getAsBoolean()) {
      options.topP(random.nextDouble());
    }
    if (some.getAsBoolean()) {
      options.seed(random.nextLong());
    }
    if (some.getAsBoolean()) {
      options.cfgScale(random.nextDouble() * 3);
    }
    options.suppressEos(some.getAsBoolean()).deferEos(some.getAsBoolean());
    options.earlyStop(some.getAsBoolean());
    if (some.getAsBoolean()) {
      options.cache(CacheMode.values()[random.nextInt(CacheMode.values().length)]);
      options.cacheRefresh(random.nextInt(4));
    }
  }

  private Constraints constraints(int masks) {
    var rules = Constraints.builder();
    switch (random.nextInt(4)) {
      case 0 -> rules.ban(ids(1 + random.nextInt(20))).banAt(random.nextInt(masks), ids(5));
      case 1 -> rules.allow(ids(1 + random.nextInt(20)));
      case 2 -> rules.bias(random.nextInt(vocabulary), (float) random.nextGaussian() * 10);
      default -> {
        int[][] choices = new int[1 + random.nextInt(3)][];
        for (int i = 0; i < choices.length; i++) {
          choices[i] = ids(masks);
          if (random.nextBoolean()) {
            choices[i][random.nextInt(masks)] = Constraints.ANY;
          }
        }
        rules.choices(choices);
      }
    }
    return rules.build();
  }
}
