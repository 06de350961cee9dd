package dev.remask.text;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/// The codec of a Hugging Face model folder.
///
/// Added tokens are found here and the library encodes what lies between them, just as it would do
/// itself; only so can the same literal be a control token in one place (what a template wrote) and
/// plain text in another (what a user wrote). Text between two control tokens is encoded in one go,
/// whoever wrote its parts: byte pairs merge across the border as they do in the reference.
final class HuggingFaceCodec implements TextCodec {
  private static final Pattern NOTHING = Pattern.compile("(?!)");

  private final BytePairLibrary library;
  private final Map<String, AddedToken> byLiteral = new HashMap<>();
  private final Map<Integer, AddedToken> byId = new HashMap<>();
  private final Pattern controls;
  private final Pattern others;
  private final boolean hasChatTemplate;
  private final Supplier<ChatTemplate> template;
  private volatile boolean closed;

  private HuggingFaceCodec(
      BytePairLibrary library, List<AddedToken> addedTokens, TextSettings settings) {
    this.library = library;
    for (AddedToken token : addedTokens) {
      byLiteral.put(token.literal(), token);
      byId.put(token.id(), token);
    }
    controls = anyOf(addedTokens.stream().filter(AddedToken::control).toList());
    others = anyOf(addedTokens.stream().filter(token -> !token.control()).toList());
    hasChatTemplate = settings.template().isPresent();
    template = new LazyTemplate(settings);
  }

  static HuggingFaceCodec open(Path folder) {
    TextSettings settings = TextSettings.read(folder);
    Path path = folder.resolve(TOKENIZER_FILE);
    TokenizerFile file = TokenizerFile.read(path, settings.specialLiterals());
    try {
      BytePairLibrary library = BytePairLibrary.open(file.withoutAddedTokens());
      return new HuggingFaceCodec(library, file.addedTokens(), settings);
    } catch (RuntimeException | LinkageError e) {
      throw new TextException(path + " cannot be used by the tokenizer: " + e.getMessage(), e);
    }
  }

  /// Longest literal first, as the library prefers it where several begin at one place.
  private static Pattern anyOf(List<AddedToken> tokens) {
    if (tokens.isEmpty()) {
      return NOTHING;
    }
    return Pattern.compile(
        tokens.stream()
            .sorted(Comparator.comparingInt((AddedToken t) -> t.literal().length()).reversed())
            .map(HuggingFaceCodec::expression)
            .collect(Collectors.joining("|")));
  }

  private static String expression(AddedToken token) {
    String literal = Pattern.quote(token.literal());
    return token.singleWord() ? "(?<![\\p{L}\\p{N}_])" + literal + "(?![\\p{L}\\p{N}_])" : literal;
  }

  @Override
  public int[] encode(String text) {
    checkOpen();
    var ids = IntStream.builder();
    encodePlain(text, ids);
    return ids.build().toArray();
  }

  @Override
  public int[] encodeRaw(String text) {
    checkOpen();
    return encodePieces(List.of(new ChatTemplate.Piece(text, false)));
  }

  @Override
  public int[] encodeChat(List<Message> messages) {
    checkOpen();
    return encodePieces(template.get().render(messages));
  }

  private int[] encodePieces(List<ChatTemplate.Piece> pieces) {
    var ids = IntStream.builder();
    var plain = new StringBuilder();
    boolean stripNext = false;
    for (ChatTemplate.Piece piece : pieces) {
      int end = 0;
      if (!piece.isContent()) {
        Matcher control = controls.matcher(piece.text());
        while (control.find()) {
          AddedToken token = byLiteral.get(control.group());
          plain.append(piece.text(), end, control.start());
          encodePlain(PythonText.strip(plain.toString(), stripNext, token.stripLeft()), ids);
          ids.add(token.id());
          plain.setLength(0);
          stripNext = token.stripRight();
          end = control.end();
        }
      }
      plain.append(piece.text(), end, piece.text().length());
    }
    encodePlain(PythonText.strip(plain.toString(), stripNext, false), ids);
    return ids.build().toArray();
  }

  /// Text without control tokens: added tokens of the other kind are ordinary vocabulary.
  private void encodePlain(String text, IntStream.Builder ids) {
    Matcher other = others.matcher(text);
    int end = 0;
    boolean stripNext = false;
    while (other.find()) {
      AddedToken token = byLiteral.get(other.group());
      String before = text.substring(end, other.start());
      encodeByLibrary(PythonText.strip(before, stripNext, token.stripLeft()), ids);
      ids.add(token.id());
      stripNext = token.stripRight();
      end = other.end();
    }
    encodeByLibrary(PythonText.strip(text.substring(end), stripNext, false), ids);
  }

  private void encodeByLibrary(String text, IntStream.Builder ids) {
    if (text.isEmpty()) {
      return;
    }
    String sound = PythonText.wellFormed(text);
    int[] encoded = library.encode(sound);
    if (Arrays.stream(encoded).anyMatch(this::isControl)) {
      encoded = encodeCut(sound);
    }
    Arrays.stream(encoded).forEach(ids::add);
  }

  /// Some vocabularies hold the control tokens as words of their own, so that the library finds
  /// them without being told. Cut behind the first letter of each literal, it cannot.
  private int[] encodeCut(String text) {
    List<int[]> parts = new ArrayList<>();
    Matcher control = controls.matcher(text);
    int end = 0;
    while (control.find()) {
      int cut = text.offsetByCodePoints(control.start(), 1);
      parts.add(library.encode(text.substring(end, cut)));
      end = cut;
    }
    parts.add(library.encode(text.substring(end)));
    return parts.stream().flatMapToInt(Arrays::stream).filter(id -> !isControl(id)).toArray();
  }

  private boolean isControl(int id) {
    AddedToken token = byId.get(id);
    return token != null && token.control();
  }

  @Override
  public boolean hasChatTemplate() {
    return hasChatTemplate;
  }

  @Override
  public String decode(int[] ids) {
    checkOpen();
    var text = new StringBuilder();
    var run = IntStream.builder();
    for (int id : ids) {
      AddedToken token = byId.get(id);
      if (id < 0 || token != null && token.control()) {
        continue;
      }
      if (token == null) {
        run.add(id);
      } else {
        text.append(library.decode(run.build().toArray())).append(token.literal());
        run = IntStream.builder();
      }
    }
    return text.append(library.decode(run.build().toArray())).toString();
  }

  @Override
  public OptionalInt idOf(String token) {
    AddedToken added = byLiteral.get(token);
    return added == null ? OptionalInt.empty() : OptionalInt.of(added.id());
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException("the text codec is closed");
    }
  }

  @Override
  public void close() {
    closed = true;
    library.close();
  }

  /// Parsing a template loads hundreds of classes: not before a conversation needs it.
  private static final class LazyTemplate implements Supplier<ChatTemplate> {
    private final TextSettings settings;
    private ChatTemplate template;

    LazyTemplate(TextSettings settings) {
      this.settings = settings;
    }

    @Override
    public synchronized ChatTemplate get() {
      if (template == null) {
        String source =
            settings
                .template()
                .orElseThrow(() -> new TextException("the model has no chat template", null));
        template = ChatTemplate.of(source, settings.namedTokens());
      }
      return template;
    }
  }
}
