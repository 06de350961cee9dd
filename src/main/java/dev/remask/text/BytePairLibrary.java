package dev.remask.text;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/// The one class that touches `ai.djl.huggingface:tokenizers` (an optional dependency).
///
/// It calls the library's native layer and leaves its Java layer alone: that one truncates to 512
/// tokens, phones home, may download, and looks for GPUs through the CUDA runtime, none of which
/// anybody asked a tokenizer for.
///
/// Any thread. Synchronized, so that nobody closes the native tokenizer under a running call.
final class BytePairLibrary implements AutoCloseable {
  static final String COORDINATES = "ai.djl.huggingface:tokenizers";

  private static final String SMALLEST =
      "{\"version\":\"1.0\",\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}";

  private static TokenizersLibrary loaded;

  private final TokenizersLibrary library;
  private long handle;

  private BytePairLibrary(TokenizersLibrary library, long handle) {
    this.library = library;
    this.handle = handle;
  }

  /// Whether the library is on the class path; loads nothing of it.
  static boolean isPresent() {
    var loader = BytePairLibrary.class.getClassLoader();
    return loader.getResource("ai/djl/huggingface/tokenizers/jni/TokenizersLibrary.class") != null;
  }

  /// A tokenizer from the bytes of a tokenizer.json; without truncation and padding, if the file
  /// has none. Throws what the library throws for broken ones.
  static BytePairLibrary open(byte[] tokenizerJson) {
    String json = new String(tokenizerJson, StandardCharsets.UTF_8);
    TokenizersLibrary library = library();
    return new BytePairLibrary(library, library.createTokenizerFromString(json));
  }

  synchronized int[] encode(String text) {
    checkOpen();
    long encoding = library.encode(handle, text, false);
    try {
      return Arrays.stream(library.getTokenIds(encoding)).mapToInt(Math::toIntExact).toArray();
    } finally {
      library.deleteEncoding(encoding);
    }
  }

  synchronized String decode(int[] ids) {
    checkOpen();
    return library.decode(handle, Arrays.stream(ids).asLongStream().toArray(), false);
  }

  @Override
  public synchronized void close() {
    if (handle != 0) {
      library.deleteTokenizer(handle);
      handle = 0;
    }
  }

  private void checkOpen() {
    if (handle == 0) {
      throw new IllegalStateException("the tokenizer is closed");
    }
  }

  private static synchronized TokenizersLibrary library() {
    if (loaded == null) {
      System.load(TokenizerNatives.unpacked().toString());
      if (!isBound(TokenizersLibrary.LIB)) {
        // The library's classes belong to another class loader than ours, and native code to the
        // one that loads it: the library must do so itself. Its telemetry and downloads are
        // switched off before its loader's first class.
        setUnlessGiven("OPT_OUT_TRACKING", "true");
        setUnlessGiven("ai.djl.offline", "true");
        LibUtils.checkStatus();
      }
      loaded = TokenizersLibrary.LIB;
    }
    return loaded;
  }

  /// Whether native methods find their code, by the shortest call of one.
  private static boolean isBound(TokenizersLibrary library) {
    try {
      library.deleteTokenizer(library.createTokenizerFromString(SMALLEST));
      return true;
    } catch (UnsatisfiedLinkError e) {
      return false;
    }
  }

  private static void setUnlessGiven(String property, String value) {
    if (System.getProperty(property) == null) {
      System.setProperty(property, value);
    }
  }
}
