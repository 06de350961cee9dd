package dev.remask.diffusion;

import dev.remask.kernel.Constrain;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/// What may stand where in an answer. Immutable.
///
/// Positions are counted as in the answer's trace: from its first position, in a canvas from the
/// canvas's first. Where several rules meet all of them hold. The rules act on the logits before
/// anything else looks at them, so confidences are those among what is allowed.
public final class Constraints {
  /// In a choice: any token.
  public static final int ANY = -1;

  /// In an encoded entry: every position.
  public static final int EVERYWHERE = -1;

  /// Kind of an encoded entry: ids that may not be chosen.
  public static final int BAN = Constrain.BAN;

  /// Kind of an encoded entry: what is added to the logits of ids.
  public static final int BIAS = Constrain.BIAS;

  /// Kind of an encoded entry: the only ids that may be chosen.
  public static final int ALLOW = Constrain.ALLOW_ONLY;

  /// Kind of an encoded entry: sequences of ids one of which is wanted.
  public static final int CHOICES = Constrain.ONE_OF;

  /// Ints of an encoded entry: position, kind, begin, count.
  public static final int ENTRY_INTS = Constrain.ENTRY_INTS;

  private static final Constraints NONE = builder().build();

  /// Ids in ascending order by position, [#EVERYWHERE] included.
  private final SortedMap<Integer, int[]> banned;

  private final SortedMap<Integer, int[]> allowed;
  private final SortedMap<Integer, Float> bias;
  private final int[][] choices;

  private Constraints(Builder builder) {
    banned = new TreeMap<>(builder.banned);
    allowed = new TreeMap<>(builder.allowed);
    bias = new TreeMap<>(builder.bias);
    choices = builder.choices;
  }

  /// No constraint.
  public static Constraints none() {
    return NONE;
  }

  /// A builder without any rule.
  public static Builder builder() {
    return new Builder();
  }

  /// Whether anything goes.
  public boolean isEmpty() {
    return banned.isEmpty() && allowed.isEmpty() && bias.isEmpty() && choices.length == 0;
  }

  /// Banned ids, ascending, by position, [#EVERYWHERE] for all; arrays not to be changed.
  public Map<Integer, int[]> banned() {
    return Collections.unmodifiableMap(banned);
  }

  /// Allowed ids, ascending, by position, [#EVERYWHERE] for all; arrays not to be changed.
  public Map<Integer, int[]> allowed() {
    return Collections.unmodifiableMap(allowed);
  }

  /// What is added to the logit of an id.
  public Map<Integer, Float> bias() {
    return Collections.unmodifiableMap(bias);
  }

  /// The sequences of ids one of which is wanted, an id for each mask; a copy.
  public int[][] choices() {
    return Arrays.stream(choices).map(int[]::clone).toArray(int[][]::new);
  }

  /// The same rules with other choices; see [Builder#choices].
  public Constraints withChoices(int[]... ids) {
    var builder = new Builder();
    builder.banned.putAll(banned);
    builder.allowed.putAll(allowed);
    builder.bias.putAll(bias);
    return builder.choices(ids).build();
  }

  /// The rules as the kernel `constrain` reads them.
  ///
  /// @param entries four ints each: canvas position or [#EVERYWHERE], kind, begin in the data,
  ///   count
  /// @param data ids; of [#BIAS] count ids and then count floats as bits, of [#CHOICES] count times
  ///   as many ids as there are masks
  public record Encoded(int[] entries, int[] data) {
    /// The number of entries.
    public int count() {
      return entries.length / ENTRY_INTS;
    }
  }

  /// Encodes the rules for a canvas whose answer begins at position `answerBegin` (of a canvas that
  /// was given: 0) and whose data will lie at index `dataBegin` of the device's arena.
  public Encoded encode(int answerBegin, int dataBegin) {
    var entries = new ArrayList<int[]>();
    var data = new ArrayList<int[]>();
    int at = dataBegin;
    for (Map.Entry<Integer, int[]> ban : banned.entrySet()) {
      at = add(entries, data, at, position(ban.getKey(), answerBegin), BAN, ban.getValue());
    }
    if (!bias.isEmpty()) {
      int[] ids = bias.keySet().stream().mapToInt(Integer::intValue).toArray();
      int[] both = Arrays.copyOf(ids, 2 * ids.length);
      for (int i = 0; i < ids.length; i++) {
        both[ids.length + i] = Float.floatToRawIntBits(bias.get(ids[i]));
      }
      entries.add(new int[] {EVERYWHERE, BIAS, at, ids.length});
      data.add(both);
      at += both.length;
    }
    for (Map.Entry<Integer, int[]> allow : allowed.entrySet()) {
      at = add(entries, data, at, position(allow.getKey(), answerBegin), ALLOW, allow.getValue());
    }
    if (choices.length > 0) {
      int[] ids = concatenated(List.of(choices));
      entries.add(new int[] {EVERYWHERE, CHOICES, at, choices.length});
      data.add(ids);
    }
    return new Encoded(concatenated(entries), concatenated(data));
  }

  private static int position(int position, int answerBegin) {
    return position == EVERYWHERE ? EVERYWHERE : answerBegin + position;
  }

  private static int add(
      List<int[]> entries, List<int[]> data, int at, int position, int kind, int[] ids) {
    entries.add(new int[] {position, kind, at, ids.length});
    data.add(ids);
    return at + ids.length;
  }

  private static int[] concatenated(List<int[]> parts) {
    return parts.stream().flatMapToInt(Arrays::stream).toArray();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Constraints that
        && same(banned, that.banned)
        && same(allowed, that.allowed)
        && bias.equals(that.bias)
        && Arrays.deepEquals(choices, that.choices);
  }

  private static boolean same(SortedMap<Integer, int[]> one, SortedMap<Integer, int[]> other) {
    return one.keySet().equals(other.keySet())
        && one.entrySet().stream()
            .allMatch(e -> Arrays.equals(e.getValue(), other.get(e.getKey())));
  }

  @Override
  public int hashCode() {
    Encoded encoded = encode(0, 0);
    return 31 * Arrays.hashCode(encoded.entries) + Arrays.hashCode(encoded.data);
  }

  /// Collects rules. What is wrong with ids and positions [DenoisingTask#validate] says.
  public static final class Builder {
    private final SortedMap<Integer, int[]> banned = new TreeMap<>();
    private final SortedMap<Integer, int[]> allowed = new TreeMap<>();
    private final SortedMap<Integer, Float> bias = new TreeMap<>();
    private int[][] choices = new int[0][];

    private Builder() {}

    /// Never chooses one of the ids, at no position.
    public Builder ban(int... ids) {
      return put("banned_tokens", banned, EVERYWHERE, ids);
    }

    /// Never chooses one of the ids at a position.
    public Builder banAt(int position, int... ids) {
      return put("banned_tokens", banned, checked("banned_tokens", position), ids);
    }

    /// Chooses among the ids only, at every position.
    public Builder allow(int... ids) {
      return put("allowed_tokens", allowed, EVERYWHERE, ids);
    }

    /// Chooses among the ids only, at a position.
    public Builder allowAt(int position, int... ids) {
      return put("allowed_tokens", allowed, checked("allowed_tokens", position), ids);
    }

    /// Adds `value` to the logit of an id, at every position.
    public Builder bias(int id, float value) {
      bias.put(id, value);
      return this;
    }

    /// Fills the masks, in ascending position, with one of these: each has an id for every mask,
    /// [#ANY] for whatever comes.
    public Builder choices(int[]... ids) {
      choices = Arrays.stream(ids).map(int[]::clone).toArray(int[][]::new);
      return this;
    }

    private static int checked(String field, int position) {
      if (position < 0) {
        throw new InvalidOptionException(
            field, "must have positions of at least 0, got " + position);
      }
      return position;
    }

    private Builder put(String field, SortedMap<Integer, int[]> rules, int position, int[] ids) {
      int[] sorted = Arrays.stream(ids).sorted().distinct().toArray();
      if (rules.put(position, sorted) != null) {
        throw new InvalidOptionException(
            field,
            "must name a position once, got "
                + (position == EVERYWHERE ? "every position" : "position " + position)
                + " twice");
      }
      return this;
    }

    /// The constraints.
    public Constraints build() {
      return new Constraints(this);
    }
  }
}
