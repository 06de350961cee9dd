package dev.remask.bench;

import dev.remask.LoadOptions;
import dev.remask.RequestException;
import dev.remask.model.ModelConfig;
import java.util.ArrayList;
import java.util.List;

/// What is to be measured, and how long.
///
/// @param lengths canvases whose steps are timed, in tokens
/// @param batches how many of them share a step
/// @param blockLength masked positions of each: the rows of logits of a step
/// @param steps steps of a run whose mean is one sample
/// @param promptLength tokens before the answers of `decodings`
/// @param decodings answers that are timed as a whole
/// @param repeats samples of each figure, if the time allows
/// @param seconds for the rounds of samples, load and warm-up not counted
/// @param profileLength canvas of the step that is told kernel by kernel
/// @param profileBatch how many of it share that step
public record BenchPlan(
    List<Integer> lengths,
    List<Integer> batches,
    int blockLength,
    int steps,
    int promptLength,
    List<Decoding> decodings,
    int repeats,
    double seconds,
    int profileLength,
    int profileBatch) {

  private static final int MOST = 1 << 20;

  /// Refuses what cannot be measured with a [RequestException] that names the flag.
  public BenchPlan {
    lengths = lengths.stream().distinct().toList();
    batches = batches.stream().distinct().toList();
    decodings = List.copyOf(decodings);
    lengths.forEach(length -> check(length, 2, "lengths"));
    batches.forEach(batch -> check(batch, 1, "batches"));
    check(blockLength, 1, "block_length");
    check(steps, 1, "steps_per_sample");
    check(promptLength, 1, "prompt_length");
    check(repeats, 1, "repeats");
    check(profileLength, 2, "profile_length");
    check(profileBatch, 1, "profile_batch");
    if (!(seconds >= 0)) {
      throw new RequestException("seconds", "seconds must be at least 0, got " + seconds);
    }
  }

  /// A canvas of some length, so many times in a step.
  ///
  /// @param length tokens
  /// @param batch how many
  public record Shape(int length, int batch) {}

  /// The steps to be timed: of every batch all lengths that the model can have.
  List<Shape> shapes(ModelConfig config) {
    var shapes = new ArrayList<Shape>();
    for (int batch : batches) {
      for (int length : lengths) {
        if (length <= config.maxSequenceLength()) {
          shapes.add(new Shape(length, batch));
        }
      }
    }
    return shapes;
  }

  /// The decodings that fit into the model's longest sequence.
  List<Decoding> decodings(ModelConfig config) {
    return decodings.stream()
        .filter(d -> promptLength + d.options().genLength() <= config.maxSequenceLength())
        .toList();
  }

  /// The step to be told kernel by kernel: as asked, as far as the model goes.
  Shape profile(ModelConfig config) {
    return new Shape(Math.min(profileLength, config.maxSequenceLength()), profileBatch);
  }

  /// The same as far as the limits of a load go.
  Shape profile(ModelConfig config, LoadOptions limits) {
    Shape wanted = profile(config);
    int most = Math.min(limits.maxSequences(), Math.min(limits.maxRows(), limits.maxTokens() / 2));
    int batch = Math.clamp(wanted.batch(), 1, Math.max(1, most));
    return new Shape(Math.min(wanted.length(), limits.maxTokens() / batch), batch);
  }

  /// Masked positions of a canvas: half of a short one.
  int masks(int length) {
    return Math.min(blockLength, length / 2);
  }

  /// Limits of a load with memory for the largest step, where the user has not set them.
  ///
  /// @param config of the model
  /// @param given what the user has set; 0 where he has not
  /// @return changed copy of the options
  public LoadOptions limits(ModelConfig config, LoadOptions given) {
    long tokens = 0;
    long rows = 0;
    int sequences = 2;
    var all = new ArrayList<>(shapes(config));
    all.add(profile(config));
    for (Shape shape : all) {
      tokens = Math.max(tokens, (long) shape.length() * shape.batch());
      rows = Math.max(rows, (long) masks(shape.length()) * shape.batch());
      sequences = Math.max(sequences, shape.batch());
    }
    for (Decoding decoding : decodings(config)) {
      tokens = Math.max(tokens, promptLength + decoding.options().genLength());
      rows = Math.max(rows, decoding.options().blockLength());
    }
    LoadOptions options = given;
    if (given.maxTokens() == 0) {
      options = options.withMaxTokens((int) Math.min(MOST, tokens));
    }
    if (given.maxRows() == 0) {
      options = options.withMaxRows((int) Math.min(MOST, rows));
    }
    // One that was given is a limit; the default is none.
    return given.maxSequences() == LoadOptions.DEFAULT_MAX_SEQUENCES
        ? options.withMaxSequences(Math.max(given.maxSequences(), sequences))
        : options;
  }

  /// Whether a step of such canvases fits into the limits of a load.
  boolean fits(Shape shape, LoadOptions limits) {
    return (long) shape.length() * shape.batch() <= limits.maxTokens()
        && (long) masks(shape.length()) * shape.batch() <= limits.maxRows()
        && shape.batch() <= limits.maxSequences();
  }

  private static void check(int value, int least, String field) {
    if (value < least || value > MOST) {
      throw new RequestException(
          field, field + " must be from " + least + " to " + MOST + ", got " + value);
    }
  }
}
