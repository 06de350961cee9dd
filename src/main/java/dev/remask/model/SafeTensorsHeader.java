package dev.remask.model;

import static tools.jackson.core.JsonToken.END_ARRAY;
import static tools.jackson.core.JsonToken.END_OBJECT;
import static tools.jackson.core.JsonToken.PROPERTY_NAME;
import static tools.jackson.core.JsonToken.START_ARRAY;
import static tools.jackson.core.JsonToken.START_OBJECT;
import static tools.jackson.core.JsonToken.VALUE_NUMBER_INT;
import static tools.jackson.core.JsonToken.VALUE_STRING;

import java.io.InputStream;
import java.io.InputStreamReader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;

/// Parses and checks the header of a safetensors file: 8 bytes of header length (little endian),
/// that many bytes of JSON `{"NAME": {"dtype", "shape", "data_offsets"}, …}`, then the data.
///
/// The rules are the format's own: the offsets count from the end of the header; the tensors cover
/// the data without overlap, gap or rest; each range is as long as dtype and shape say. The header
/// is streamed, so a hostile one costs no more than the tensors it names.
final class SafeTensorsHeader {
  /// The limit of the reference implementation.
  static final long MAX_HEADER_BYTES = 100_000_000;

  static final int LENGTH_BYTES = 8;

  /// Far above any real tensor; bounds what a hostile shape costs.
  private static final int MAX_DIMENSIONS = 64;

  private static final ValueLayout.OfLong LENGTH =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Path file;
  private final long dataStart;
  private final long dataBytes;

  private SafeTensorsHeader(Path file, long dataStart, long dataBytes) {
    this.file = file;
    this.dataStart = dataStart;
    this.dataBytes = dataBytes;
  }

  /// The tensors of a file whose whole content is `content`, in the order of their offsets.
  static List<TensorInfo> parse(Path file, MemorySegment content) {
    long fileBytes = content.byteSize();
    if (fileBytes < LENGTH_BYTES) {
      throw ModelException.unsuitable(
          file, "the file", fileBytes + " bytes long", "a safetensors file, 8 bytes or more");
    }
    long length = content.get(LENGTH, 0);
    long most = Math.min(MAX_HEADER_BYTES, fileBytes - LENGTH_BYTES);
    if (length < 2 || length > most) {
      throw ModelException.unsuitable(
          file,
          "the header's length",
          Long.toUnsignedString(length),
          "2 to " + most + " bytes (the file has " + fileBytes + ")");
    }
    MemorySegment json = content.asSlice(LENGTH_BYTES, length);
    if (json.get(ValueLayout.JAVA_BYTE, 0) != '{') {
      throw ModelException.unsuitable(file, "the header's first byte", "not '{'", "a JSON object");
    }
    long dataStart = LENGTH_BYTES + length;
    var header = new SafeTensorsHeader(file, dataStart, fileBytes - dataStart);
    return header.checkCover(header.tensors(json));
  }

  private List<TensorInfo> tensors(MemorySegment json) {
    var tensors = new ArrayList<TensorInfo>();
    // An explicit decoder: Jackson would guess UTF-16 from some byte patterns, and would let the
    // parser see half of a malformed sequence.
    var reader =
        new InputStreamReader(
            new ByteBufferStream(json.asByteBuffer()), StandardCharsets.UTF_8.newDecoder());
    try (JsonParser parser = JsonFiles.STRICT.createParser(ObjectReadContext.empty(), reader)) {
      expect(parser.nextToken(), START_OBJECT, "the header");
      while (parser.nextToken() != END_OBJECT) {
        String name = parser.currentName();
        if (name.equals("__metadata__")) {
          expect(parser.nextToken(), START_OBJECT, name);
          parser.skipChildren();
        } else {
          tensors.add(tensor(parser, name));
        }
      }
      if (parser.nextToken() != null) {
        throw ModelException.unsuitable(file, "the header", "followed by more JSON", "one object");
      }
    } catch (JacksonException e) {
      throw new ModelException(file + ": the header is not valid JSON: " + JsonFiles.reason(e), e);
    }
    return tensors;
  }

  private TensorInfo tensor(JsonParser parser, String name) {
    expect(parser.nextToken(), START_OBJECT, name);
    TensorType type = null;
    List<Long> shape = null;
    List<Long> offsets = null;
    while (parser.nextToken() == PROPERTY_NAME) {
      String key = parser.currentName();
      JsonToken value = parser.nextToken();
      switch (key) {
        case "dtype" -> {
          expect(value, VALUE_STRING, name + ".dtype");
          type = TensorType.named(parser.getString());
          if (type == null) {
            throw unsuitable(name + ".dtype", parser.getString(), "a type of the format");
          }
        }
        case "shape" -> shape = naturals(parser, value, name + ".shape", MAX_DIMENSIONS);
        case "data_offsets" -> offsets = naturals(parser, value, name + ".data_offsets", 2);
        default -> parser.skipChildren();
      }
    }
    if (type == null || shape == null || offsets == null) {
      throw unsuitable(name, "incomplete", "dtype, shape and data_offsets");
    }
    return checked(name, type, shape, offsets);
  }

  private TensorInfo checked(String name, TensorType type, List<Long> shape, List<Long> offsets) {
    if (offsets.size() != 2 || offsets.get(0) > offsets.get(1) || offsets.get(1) > dataBytes) {
      throw unsuitable(
          name + ".data_offsets", offsets, "[begin, end], begin <= end <= " + dataBytes);
    }
    long bits = type.bits();
    try {
      for (long dimension : shape) {
        bits = Math.multiplyExact(bits, dimension);
      }
    } catch (ArithmeticException e) {
      throw unsuitable(name + ".shape", shape, "a product below 2^63 bits");
    }
    long bytes = offsets.get(1) - offsets.get(0);
    if (bits % Byte.SIZE != 0 || bits / Byte.SIZE != bytes) {
      throw unsuitable(
          name + ".data_offsets",
          offsets,
          "a range of " + bits / (double) Byte.SIZE + " bytes, as " + type + shape + " has");
    }
    return new TensorInfo(name, type, shape, file, dataStart + offsets.get(0), bytes);
  }

  /// Sorts by offset and refuses overlaps, gaps and data that belongs to no tensor.
  private List<TensorInfo> checkCover(List<TensorInfo> tensors) {
    tensors.sort(Comparator.comparingLong(TensorInfo::offset).thenComparingLong(TensorInfo::bytes));
    long end = dataStart;
    String previous = "the header";
    for (TensorInfo tensor : tensors) {
      if (tensor.offset() != end) {
        String found = tensor.offset() < end ? "overlapping" : "not directly after";
        throw unsuitable(
            tensor.name() + ".data_offsets",
            found + " " + previous,
            "tensors that cover the data without overlap or gap");
      }
      end += tensor.bytes();
      previous = tensor.name();
    }
    if (end != dataStart + dataBytes) {
      throw unsuitable(
          "the data",
          dataBytes + " bytes long",
          (end - dataStart) + " bytes, as the header's tensors have");
    }
    return tensors;
  }

  private List<Long> naturals(JsonParser parser, JsonToken start, String subject, int most) {
    expect(start, START_ARRAY, subject);
    var values = new ArrayList<Long>();
    for (JsonToken token = parser.nextToken(); token != END_ARRAY; token = parser.nextToken()) {
      expect(token, VALUE_NUMBER_INT, subject);
      long value = parser.getLongValue();
      if (value < 0) {
        throw unsuitable(subject, value, "no negative number");
      }
      if (values.size() == most) {
        throw unsuitable(subject, "longer than " + most, "at most " + most + " numbers");
      }
      values.add(value);
    }
    return values;
  }

  private void expect(JsonToken found, JsonToken wanted, String subject) {
    if (found != wanted) {
      throw unsuitable(subject, found, wanted + " in the header");
    }
  }

  private ModelException unsuitable(String subject, Object found, String wanted) {
    return ModelException.unsuitable(file, subject, found, wanted);
  }

  /// A buffer's bytes as a stream, so that the header is never copied as a whole.
  private static final class ByteBufferStream extends InputStream {
    private final ByteBuffer bytes;

    ByteBufferStream(ByteBuffer bytes) {
      this.bytes = bytes;
    }

    @Override
    public int read() {
      return bytes.hasRemaining() ? bytes.get() & 0xff : -1;
    }

    @Override
    public int read(byte[] into, int offset, int length) {
      if (length == 0) {
        return 0;
      }
      if (!bytes.hasRemaining()) {
        return -1;
      }
      int count = Math.min(length, bytes.remaining());
      bytes.get(into, offset, count);
      return count;
    }
  }
}
