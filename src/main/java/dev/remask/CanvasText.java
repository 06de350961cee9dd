package dev.remask;

import dev.remask.text.TextCodec;
import java.util.Arrays;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/// The text of a canvas: `<mask>` is a masked position, `<mask:4>` are four, the rest is literal.
///
/// The pieces between the masks are encoded one by one, as nobody knows how a token would reach
/// over a mask.
final class CanvasText {
  private static final Pattern MASKS = Pattern.compile("<mask(?::([^<>]*))?>");

  /// More digits than any canvas has positions.
  private static final int MOST_DIGITS = 7;

  private CanvasText() {}

  /// The ids, [GenerateRequest#MASK] where a token is wanted. Throws [RequestException] for a mask
  /// whose count is no number from 1 on, and for a text without any mask.
  static int[] encode(String text, boolean raw, TextCodec codec) {
    return encode(text, raw ? codec::encodeRaw : codec::encode);
  }

  static int[] encode(String text, Function<String, int[]> encoder) {
    IntStream.Builder ids = IntStream.builder();
    Matcher masks = MASKS.matcher(text);
    int from = 0;
    while (masks.find()) {
      add(ids, text.substring(from, masks.start()), encoder);
      IntStream.range(0, count(masks)).forEach(i -> ids.add(GenerateRequest.MASK));
      from = masks.end();
    }
    if (from == 0) {
      throw new RequestException(
          "canvas", "canvas must hold at least one <mask> or <mask:N>, got none in: " + text);
    }
    add(ids, text.substring(from), encoder);
    return ids.build().toArray();
  }

  private static void add(IntStream.Builder ids, String piece, Function<String, int[]> encoder) {
    if (!piece.isEmpty()) {
      Arrays.stream(encoder.apply(piece)).forEach(ids::add);
    }
  }

  private static int count(Matcher mask) {
    String digits = mask.group(1);
    if (digits == null) {
      return 1;
    }
    boolean number = digits.matches("[0-9]{1," + MOST_DIGITS + "}");
    if (!number || Integer.parseInt(digits) == 0) {
      throw new RequestException(
          "canvas",
          "canvas must count its masks by a number from 1 on, as <mask:4> does, got "
              + mask.group());
    }
    return Integer.parseInt(digits);
  }
}
