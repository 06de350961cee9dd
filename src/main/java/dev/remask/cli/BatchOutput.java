package dev.remask.cli;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Where the results of a batch go: standard output, or a file that a later run continues.
///
/// The file holds whole lines in the order of the requests, each with the number of its request's
/// line; so its last line says how far the batch has come. A line is written with its line end by
/// one call: what a killed process leaves is whole lines and at most one torn one at the end, which
/// is cut off before the first result is written, and its request answered again. Nothing is
/// written to a file that holds, or ends with, anything else.
final class BatchOutput implements Closeable {
  /// How the line of a result or an error begins ([ResultJson]), as bytes in Latin-1. What of the
  /// beginning of a line is there has to match.
  private static final Pattern BEGINNING =
      Pattern.compile(
          "\\{\"prompt_ids\":\\[[-\\d,]*],\"output_ids\":\\[[-\\d,]*],\"text\":[^\\x00-\\x1f]*"
              + "|\\{\"error\":\"[^\\x00-\\x1f]*");

  private final PrintStream stream;
  private final FileChannel file;
  private final Held held;
  private boolean mended;

  /// What a file holds already.
  ///
  /// @param results whole lines
  /// @param lastLine the line of the request of the last of them, 0 if there is none
  /// @param bytes of the whole lines; what is behind them is torn
  private record Held(long results, long lastLine, long bytes) {}

  private BatchOutput(PrintStream stream, FileChannel file, Held held) {
    this.stream = stream;
    this.file = file;
    this.held = held;
  }

  static BatchOutput to(PrintStream stream) {
    return new BatchOutput(stream, null, new Held(0, 0, 0));
  }

  /// Opens a file that may hold a part of the results already. Throws [UsageException] if it holds
  /// something else, or another process writes to it.
  static BatchOutput continuing(Path path) {
    try {
      if (Files.isDirectory(path)) {
        throw new UsageException("--out: " + path + " is a folder");
      }
      FileChannel file =
          FileChannel.open(
              path, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
      try {
        lock(file, path);
        return new BatchOutput(null, file, held(file, path));
      } catch (IOException | RuntimeException e) {
        file.close();
        throw e;
      }
    } catch (IOException e) {
      throw new UsageException("--out: " + path + " cannot be written: " + e.getMessage());
    }
  }

  private static void lock(FileChannel file, Path path) throws IOException {
    boolean free;
    try {
      free = file.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      free = false;
    }
    if (!free) {
      throw new UsageException("--out: another process writes to " + path);
    }
  }

  /// Reads what is there, and changes nothing.
  private static Held held(FileChannel file, Path path) throws IOException {
    var mapper = new JsonMapper();
    var line = new ByteArrayOutputStream();
    long results = 0;
    long lastLine = 0;
    long whole = 0;
    long at = 0;
    // Not closed: that would close the channel.
    InputStream in = new BufferedInputStream(Channels.newInputStream(file.position(0)));
    for (int b = in.read(); b >= 0; b = in.read()) {
      at++;
      if (line.size() == 0 && b != '{') {
        throw foreign(path, lastLine); // at once, however much follows
      }
      if (b != '\n') {
        line.write(b);
        continue;
      }
      lastLine = number(mapper, line.toByteArray(), lastLine, path);
      results++;
      line.reset();
      whole = at;
    }
    if (line.size() > 0) {
      checkTorn(mapper, line.toByteArray(), lastLine, path);
    }
    return new Held(results, lastLine, whole);
  }

  /// Only what a killed run left is cut off: the beginning of a line as it is written here, or a
  /// whole one that lacks its end.
  private static void checkTorn(JsonMapper mapper, byte[] tail, long previous, Path path) {
    Matcher beginning = BEGINNING.matcher(new String(tail, StandardCharsets.ISO_8859_1));
    if (!beginning.matches() && !beginning.hitEnd()) {
      throw foreign(path, previous);
    }
    JsonNode whole;
    try {
      whole = mapper.readTree(tail);
    } catch (JacksonException e) {
      return; // torn
    }
    number(whole, previous, path);
  }

  private static long number(JsonMapper mapper, byte[] line, long previous, Path path) {
    try {
      return number(mapper.readTree(line), previous, path);
    } catch (JacksonException e) {
      throw foreign(path, previous);
    }
  }

  private static long number(JsonNode result, long previous, Path path) {
    JsonNode number = result.path("line");
    if (number.isIntegralNumber() && number.longValue() > previous) {
      return number.longValue();
    }
    throw foreign(path, previous);
  }

  private static UsageException foreign(Path path, long previous) {
    return new UsageException(
        "--out: "
            + path
            + " holds something else than the results of a batch, behind that of line "
            + previous
            + "; it is left as it is");
  }

  /// The line of the last request that has its result already; 0 if none has.
  long lastLine() {
    return held.lastLine();
  }

  /// Results that an earlier run has written.
  long results() {
    return held.results();
  }

  boolean isFile() {
    return file != null;
  }

  /// Writes a result; false if nobody reads on.
  boolean write(String line) throws IOException {
    if (file == null) {
      stream.println(line);
      return !stream.checkError();
    }
    if (!mended) {
      file.truncate(held.bytes());
      file.position(held.bytes());
      mended = true;
    }
    ByteBuffer bytes = ByteBuffer.wrap((line + "\n").getBytes(StandardCharsets.UTF_8));
    while (bytes.hasRemaining()) {
      file.write(bytes);
    }
    return true;
  }

  @Override
  public void close() throws IOException {
    if (file != null) {
      file.close();
    }
  }
}
