package dev.remask.diffusion;

import java.util.Arrays;
import java.util.function.Function;
import java.util.stream.Collectors;

/// Reads constants by the names that they have in JSON and on the command line.
final class JsonNames {
  private JsonNames() {}

  /// The constant of a name. Throws [InvalidOptionException] naming `field` for anything else.
  static <E> E parse(String field, E[] constants, Function<E, String> nameOf, String name) {
    for (E constant : constants) {
      if (nameOf.apply(constant).equals(name)) {
        return constant;
      }
    }
    String names = Arrays.stream(constants).map(nameOf).collect(Collectors.joining(", "));
    throw new InvalidOptionException(field, "must be one of " + names + ", got " + name);
  }
}
