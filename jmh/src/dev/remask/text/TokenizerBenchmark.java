package dev.remask.text;

import dev.remask.Remask;
import dev.remask.measure.Moved;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/// The tokenizer of the default model: text to ids, a conversation by the chat template, ids to
/// text. MB/s are bytes of UTF-8 text.
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@Fork(1)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class TokenizerBenchmark {
  /// What is encoded.
  public enum Text {
    QUESTION("What is 47 + 38?", 1),
    PAGES("In the beginning God created the heaven and the earth. ", 160);

    private final String text;

    Text(String part, int times) {
      text = part.repeat(times);
    }
  }

  @Param({"QUESTION", "PAGES"})
  public Text text;

  private TextCodec codec;
  private int[] ids;
  private int bytes;
  private List<Message> conversation;

  @Setup
  public void open() {
    codec = TextCodec.open(Remask.defaultModel()).orElseThrow();
    ids = codec.encode(text.text);
    bytes = text.text.getBytes(StandardCharsets.UTF_8).length;
    conversation = List.of(new Message("user", text.text));
  }

  @TearDown
  public void close() {
    codec.close();
  }

  @Benchmark
  public int[] encode(Moved moved) {
    moved.count(bytes);
    return codec.encode(text.text);
  }

  @Benchmark
  public int[] encodeChat(Moved moved) {
    moved.count(bytes);
    return codec.encodeChat(conversation);
  }

  @Benchmark
  public String decode(Moved moved) {
    moved.count(bytes);
    return codec.decode(ids);
  }
}
