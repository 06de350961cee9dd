package dev.remask.diffusion;

import dev.remask.kernel.SpecialTokens;
import dev.remask.model.ModelConfig;
import java.util.Arrays;
import java.util.Random;

/// Valid tasks with options of every kind, drawn at random.
final class RandomTasks {
  private final Random random;
  private final ModelConfig config;
  private final SpecialTokens tokens;

  RandomTasks(long seed, ModelConfig config, SpecialTokens tokens) {
    random = new Random(seed);
    this.config = config;
    this.tokens = tokens;
  }

  /// The next task; `longest` bounds its prompt and its answer each.
  DenoisingTask next(int longest) {
    boolean choice = chance(0.1);
    while (true) {
      DenoisingTask task = choice ? drawChoice(longest) : draw(longest);
      try {
        task.validate(config, tokens);
        return task;
      } catch (InvalidOptionException e) {
        // Impossible together: another one.
      }
    }
  }

  private DenoisingTask draw(int longest) {
    boolean canvas = chance(0.3);
    var builder = DiffusionOptions.builder().seed(random.nextLong());
    int block = 1 + random.nextInt(Math.min(8, longest));
    int blocks = 1 + random.nextInt(Math.max(1, longest / block));
    builder.blockLength(block);
    if (!canvas) {
      builder.genLength(block * blocks);
      if (chance(0.25)) {
        builder.maxGenLength(block * (blocks + random.nextInt(3)));
      }
    }
    rules(builder, block, blocks, canvas);
    sampling(builder);
    boolean guided = chance(0.3);
    builder.cfgScale(guided ? 0.25 * (1 + random.nextInt(6)) : 0);
    // A canvas of masks alone has equal logits everywhere, but for rounding.
    int[] prompt = ids(1 + random.nextInt(longest));
    DenoisingTask task;
    if (canvas) {
      int[] ids = ids(2 + random.nextInt(2 * longest));
      for (int i = 1; i < ids.length; i++) {
        if (chance(0.5) || i == ids.length / 2) {
          ids[i] = DenoisingTask.MASK;
        }
      }
      task = DenoisingTask.ofCanvas(ids, builder.build());
    } else {
      task = DenoisingTask.ofPrompt(prompt, builder.build());
      if (guided && chance(0.5)) {
        task = task.withNegativePrompt(ids(random.nextInt(longest)));
      }
    }
    boolean ends = task.options().earlyStop();
    return ends || chance(0.4) ? task.withConstraints(constraints(task, ends)) : task;
  }

  /// One of a few answers, a token a step.
  private DenoisingTask drawChoice(int longest) {
    var builder = DiffusionOptions.builder().seed(random.nextLong());
    builder.remasking(Remasking.values()[random.nextInt(Remasking.values().length)]);
    builder.genLength(1 + random.nextInt(longest));
    builder.cfgScale(chance(0.3) ? 1 : 0);
    builder.temperature(chance(0.3) ? 0.7 : 0);
    builder.cache(CacheMode.values()[random.nextInt(CacheMode.values().length)]);
    var task = DenoisingTask.ofPrompt(ids(1 + random.nextInt(longest)), builder.build());
    int[][] choices = new int[1 + random.nextInt(4)][];
    int[] common = ids(task.masks());
    Arrays.setAll(
        choices,
        i -> {
          int[] ids = ids(task.masks());
          for (int m = 0; m < ids.length; m++) {
            // Most of them agree here and there, and leave something open.
            ids[m] = chance(0.5) ? common[m] : chance(0.2) ? Constraints.ANY : ids[m];
          }
          return ids;
        });
    return task.withConstraints(Constraints.builder().choices(choices).build());
  }

  private void rules(DiffusionOptions.Builder builder, int block, int blocks, boolean canvas) {
    builder.remasking(Remasking.values()[random.nextInt(Remasking.values().length)]);
    switch (random.nextInt(4)) {
      case 0 -> builder.threshold(0.02 + 0.2 * random.nextDouble());
      case 1 -> builder.factor(0.5 + 2 * random.nextDouble());
      default -> {
        Schedule[] schedules = {
          Schedule.uniform(), Schedule.cosine(), Schedule.linear(), Schedule.of(1, 0.4, 0.1, 0)
        };
        Schedule schedule = schedules[random.nextInt(schedules.length)];
        builder.schedule(schedule);
        if (!schedule.isList() && !canvas && chance(0.7)) {
          builder.steps(blocks * (1 + random.nextInt(block + 2)));
        }
      }
    }
    if (chance(0.3)) {
      builder.revisionBudget(1 + random.nextInt(6));
      builder.revisionThreshold(0.005 + 0.1 * random.nextDouble());
    }
    if (chance(0.4)) {
      builder.cache(chance(0.5) ? CacheMode.PREFIX : CacheMode.DUAL);
      builder.cacheRefresh(random.nextInt(4));
    }
  }

  private void sampling(DiffusionOptions.Builder builder) {
    if (chance(0.4)) {
      builder.temperature(0.2 + random.nextDouble());
      builder.topK(chance(0.5) ? 1 + random.nextInt(50) : 0);
      builder.topP(chance(0.5) ? 0.1 + 0.8 * random.nextDouble() : 1);
    }
    builder.suppressEos(chance(0.15));
    builder.deferEos(chance(0.15));
    builder.earlyStop(chance(0.3));
  }

  private Constraints constraints(DenoisingTask task, boolean ends) {
    var builder = Constraints.builder();
    int[] masks = task.maskPositions();
    // Towards the end token, which a random model hardly ever chooses.
    builder.bias(tokens.eos(), (ends ? 10 : 6) * random.nextFloat());
    builder.bias(random.nextInt(tokens.mask()), 4 * random.nextFloat() - 2);
    if (chance(0.4)) {
      builder.ban(ids(20));
    }
    if (chance(0.4)) {
      builder.allow(ids(200));
    }
    if (masks.length > 0 && chance(0.4)) {
      builder.banAt(masks[random.nextInt(masks.length)] - task.answerBegin(), ids(30));
      builder.allowAt(masks[random.nextInt(masks.length)] - task.answerBegin(), ids(5));
    }
    return builder.build();
  }

  private int[] ids(int count) {
    return random.ints(count, 0, tokens.eos()).toArray();
  }

  private boolean chance(double probability) {
    return random.nextDouble() < probability;
  }
}
