package dev.remask.text;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/// Turns text into the token ids of one model and back.
///
/// Text is data: the literal of a special token inside it (`<|eot_id|>`) is encoded letter by
/// letter and never becomes the control token. Only [#encodeRaw] recognises such literals, and a
/// chat template may write them.
///
/// Immutable; any thread. Nothing here opens a network connection, and nothing is truncated or
/// padded. After [#close] every method throws `IllegalStateException`.
public interface TextCodec extends AutoCloseable {
  /// The name of the file that holds a model's tokenizer.
  String TOKENIZER_FILE = "tokenizer.json";

  /// Encodes plain text; adds nothing and recognises no special token.
  int[] encode(String text);

  /// Encodes text in which literals of special tokens stand for these tokens; adds nothing.
  int[] encodeRaw(String text);

  /// Encodes a conversation by the model's chat template, up to where the assistant's turn begins.
  ///
  /// The contents are plain text wherever the template puts them; what the template itself writes
  /// is read with special tokens. Throws [MessageException] for a conversation that the template
  /// refuses, [TextException] if the template is broken, or if there is none.
  int[] encodeChat(List<Message> messages);

  /// Whether the model folder has a chat template.
  boolean hasChatTemplate();

  /// The text of ids, special tokens left out (as the reference's `skip_special_tokens`); ids
  /// without a token are left out too. Bytes that are no UTF-8 come out as U+FFFD.
  String decode(int[] ids);

  /// The id of an added token by its literal, `<|eot_id|>` for example.
  OptionalInt idOf(String token);

  @Override
  void close();

  /// Opens the tokenizer of a model folder; empty if there is none to open, see [#whyAbsent].
  ///
  /// Reads tokenizer.json, tokenizer_config.json, special_tokens_map.json and chat_template.jinja;
  /// only the first must be there. The template is parsed at the first [#encodeChat]. Throws
  /// [TextException] for broken files.
  ///
  /// The tokenizer's native library is unpacked once into `tokenizers` of Remask's cache
  /// (`REMASK_CACHE`, else `$XDG_CACHE_HOME/remask`, else `~/.cache/remask`).
  static Optional<TextCodec> open(Path folder) {
    if (whyAbsent(folder).isPresent()) {
      return Optional.empty();
    }
    return Optional.of(HuggingFaceCodec.open(folder));
  }

  /// Why [#open] finds nothing in a folder, as a sentence for the user; empty if it does.
  static Optional<String> whyAbsent(Path folder) {
    if (!Files.isRegularFile(folder.resolve(TOKENIZER_FILE))) {
      return Optional.of(
          "the model has no tokenizer (no " + TOKENIZER_FILE + " in " + folder + ")");
    }
    if (!BytePairLibrary.isPresent()) {
      return Optional.of(
          "the tokenizer library is not on the class path (" + BytePairLibrary.COORDINATES + ")");
    }
    return Optional.empty();
  }
}
