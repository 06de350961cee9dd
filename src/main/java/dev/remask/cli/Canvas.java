package dev.remask.cli;

import dev.remask.GenerateRequest;
import dev.remask.Model;
import dev.remask.kernel.SpecialTokens;
import dev.remask.text.TextCodec;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;

/// An unfinished answer as text: what is committed, and a shade for each masked position, up to
/// where the answer is known to end.
final class Canvas {
  static final String MASK = "░";

  private final Optional<TextCodec> codec;
  private final SpecialTokens tokens;

  Canvas(Optional<TextCodec> codec, SpecialTokens tokens) {
    this.codec = codec;
    this.tokens = tokens;
  }

  static Canvas of(Model model) {
    return new Canvas(model.codec(), model.specialTokens());
  }

  /// Ids of a generation with the model's mask id where a position is masked.
  int[] withMasks(int[] ids) {
    return Arrays.stream(ids).map(id -> id == GenerateRequest.MASK ? tokens.mask() : id).toArray();
  }

  /// The id of a masked position.
  int mask() {
    return tokens.mask();
  }

  /// How many of the ids are committed.
  int committed(int[] answerIds) {
    return (int) Arrays.stream(answerIds).filter(id -> id != tokens.mask()).count();
  }

  /// The text; harmless to a terminal.
  String text(int[] answerIds) {
    var text = new StringBuilder();
    int run = 0;
    for (int i = 0; i <= answerIds.length; i++) {
      int id = i < answerIds.length ? answerIds[i] : tokens.mask();
      boolean end = id == tokens.eos() || id == tokens.eot();
      if (id == tokens.mask() || end) {
        text.append(decode(Arrays.copyOfRange(answerIds, run, i)));
        run = i + 1;
        if (end) {
          break;
        }
        if (i < answerIds.length) {
          text.append(MASK);
        }
      }
    }
    return Ansi.harmless(text.toString());
  }

  private String decode(int[] ids) {
    if (ids.length == 0) {
      return "";
    }
    return codec
        .map(known -> known.decode(ids))
        .orElseGet(() -> Arrays.stream(ids).mapToObj(id -> id + ",").collect(Collectors.joining()));
  }
}
