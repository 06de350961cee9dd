package dev.remask.bench;

import dev.remask.RequestException;
import dev.remask.diffusion.CacheMode;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.Remasking;
import java.util.Locale;

/// How an answer is denoised, as `gen:block:steps[:rule[:cache]]`: `64:32:32`, `64:32:16:entropy`,
/// `128:32:t0.9::dual`. Steps may be `tP`, the threshold P, or `fF`, the factor F: as many as it
/// takes.
///
/// @param text as it was given
/// @param options what it says
public record Decoding(String text, DiffusionOptions options) {
  private static final int LEAST_PARTS = 3;
  private static final int MOST_PARTS = 5;

  /// Reads one; throws [RequestException] that says what is wrong.
  public static Decoding parse(String text) {
    String[] parts = text.strip().toLowerCase(Locale.ROOT).split(":", -1);
    if (parts.length < LEAST_PARTS || parts.length > MOST_PARTS) {
      throw refused(text, "");
    }
    try {
      var options =
          DiffusionOptions.builder()
              .genLength(Integer.parseInt(parts[0]))
              .blockLength(Integer.parseInt(parts[1]));
      String steps = parts[2];
      switch (steps.isEmpty() ? ' ' : steps.charAt(0)) {
        case 't' -> options.threshold(Double.parseDouble(steps.substring(1)));
        case 'f' -> options.factor(Double.parseDouble(steps.substring(1)));
        default -> options.steps(Integer.parseInt(steps));
      }
      if (parts.length > LEAST_PARTS && !parts[3].isEmpty()) {
        options.remasking(Remasking.parse(parts[3]));
      }
      if (parts.length == MOST_PARTS && !parts[4].isEmpty()) {
        options.cache(CacheMode.parse(parts[4]));
      }
      return new Decoding(text.strip(), options.build());
    } catch (NumberFormatException e) {
      throw refused(text, "");
    } catch (IllegalArgumentException e) {
      throw refused(text, ": " + e.getMessage());
    }
  }

  /// Whether probabilities decide how many steps it takes.
  public boolean adaptive() {
    return options.adaptive();
  }

  private static RequestException refused(String text, String why) {
    return new RequestException(
        "decodings",
        "decodings must be gen:block:steps[:rule[:cache]], such as 64:32:32, 64:32:t0.9 or"
            + " 64:32:32:entropy:dual, got "
            + text
            + why);
  }
}
