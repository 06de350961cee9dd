package dev.remask.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Tokenizer folders that differ from the golden one: other templates, other kinds of added tokens.
class OddTokenizersTest {
  private static final JsonMapper MAPPER = new JsonMapper();

  @TempDir Path folder;
  private ObjectNode tokenizer;
  private ObjectNode config;

  @BeforeEach
  void readGolden() throws URISyntaxException, IOException {
    var file = OddTokenizersTest.class.getResource("/dev/remask/models/tiny-llada/tokenizer.json");
    Path golden = Path.of(file.toURI());
    tokenizer = (ObjectNode) MAPPER.readTree(Files.readAllBytes(golden));
    config =
        (ObjectNode)
            MAPPER.readTree(Files.readAllBytes(golden.resolveSibling("tokenizer_config.json")));
  }

  private TextCodec open() throws IOException {
    Files.write(folder.resolve("tokenizer.json"), MAPPER.writeValueAsBytes(tokenizer));
    Files.write(folder.resolve("tokenizer_config.json"), MAPPER.writeValueAsBytes(config));
    return TextCodec.open(folder).orElseThrow();
  }

  private void withCodec(Consumer<TextCodec> body) throws IOException {
    try (TextCodec codec = open()) {
      body.accept(codec);
    }
  }

  private ObjectNode addToken(String literal, int id, boolean special) {
    ObjectNode token = ((ArrayNode) tokenizer.get("added_tokens")).addObject();
    return token.put("content", literal).put("id", id).put("special", special);
  }

  private static List<Message> conversation(String... contents) {
    return Arrays.stream(contents).map(content -> new Message("user", content)).toList();
  }

  @Test
  void vocabularyThatHoldsControlTokens_doesNotLeakThem() throws IOException {
    ObjectNode model = (ObjectNode) tokenizer.get("model");
    model.put("ignore_merges", true);
    ((ObjectNode) model.get("vocab")).put("<|eot_id|>", 2046);
    tokenizer.putNull("pre_tokenizer");
    withCodec(codec -> {
      int[] ids = codec.encode("<|eot_id|>");
      assertTrue(Arrays.stream(ids).noneMatch(id -> id == 2046), Arrays.toString(ids));
      assertEquals("<|eot_id|>", codec.decode(ids));
      assertArrayEquals(new int[] {2046}, codec.encodeRaw("<|eot_id|>"));
    });
  }

  @Test
  void addedTokensThatAreNotSpecial_areOrdinaryVocabulary() throws IOException {
    addToken("remaskword", 2050, false);
    addToken("remaskwords", 2051, false);
    withCodec(codec -> {
      int[] ids = codec.encode("a remaskwords b");
      assertTrue(Arrays.stream(ids).anyMatch(id -> id == 2051), Arrays.toString(ids));
      assertEquals("a remaskwords b", codec.decode(ids));
    });
  }

  @Test
  void tokensNamedSpecialByTheConfigAlone_areControlTokens() throws IOException {
    addToken("[gMASK]", 2050, false);
    config.putArray("additional_special_tokens").add("[gMASK]");
    withCodec(codec -> {
      assertTrue(Arrays.stream(codec.encode("[gMASK]")).noneMatch(id -> id == 2050));
      assertArrayEquals(new int[] {2050}, codec.encodeRaw("[gMASK]"));
      assertEquals("", codec.decode(new int[] {2050}));
    });
  }

  @Test
  void strippingTokens_swallowTheSpaceAroundThem() throws IOException {
    addToken("<|both|>", 2050, true).put("lstrip", true).put("rstrip", true);
    withCodec(codec -> {
      int[] stripped = codec.encodeRaw("stone  <|both|> \n river");
      assertArrayEquals(codec.encodeRaw("stone<|both|>river"), stripped);
    });
  }

  @Test
  void truncationPaddingAndPostProcessorOfTheFile_areIgnored() throws IOException {
    tokenizer
        .putObject("truncation")
        .put("direction", "Right")
        .put("max_length", 4)
        .put("strategy", "LongestFirst")
        .put("stride", 0);
    ObjectNode padding = tokenizer.putObject("padding");
    padding.putObject("strategy").put("Fixed", 16);
    padding.put("direction", "Right").put("pad_id", 2043).put("pad_type_id", 0);
    padding.putNull("pad_to_multiple_of").put("pad_token", "<|endoftext|>");
    withCodec(codec -> {
      assertEquals(10, codec.encode("What is 47 + 38?").length);
      assertEquals(2001, codec.encode("ab ".repeat(2000)).length);
    });
  }

  @Test
  void bosTokenMayBeAnObject() throws IOException {
    config.putObject("bos_token").put("content", "<|startoftext|>").put("special", true);
    withCodec(codec -> assertEquals(2042, codec.encodeChat(conversation("x"))[0]));
  }

  @Test
  void templateMayBeAListOrAFileOfItsOwn() throws IOException {
    String original = config.get("chat_template").stringValue();
    int[] expected;
    try (TextCodec codec = open()) {
      expected = codec.encodeChat(conversation("x"));
    }
    ArrayNode list = config.putArray("chat_template");
    list.addObject().put("name", "tool_use").put("template", "wrong");
    list.addObject().put("name", "default").put("template", original);
    withCodec(codec -> assertArrayEquals(expected, codec.encodeChat(conversation("x"))));

    Files.writeString(folder.resolve("chat_template.jinja"), original);
    config.put("chat_template", "wrong");
    withCodec(codec -> assertArrayEquals(expected, codec.encodeChat(conversation("x"))));

    Files.delete(folder.resolve("chat_template.jinja"));
    config.put("chat_template", 7);
    assertThrows(TextException.class, this::open);
  }

  @Test
  void templateOfSeveralLinesWithControlFlow_rendersAsInPython() throws IOException {
    config.put(
        "chat_template",
        """
        {%- if messages[0]['role'] == 'system' %}
            {%- set system = messages[0].content %}
            {%- set turns = messages[1:] %}
        {%- else %}
            {%- set turns = messages %}
        {%- endif %}
        {{- bos_token }}
        {%- for message in turns %}
          {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
            {{- raise_exception('roles must alternate') }}
          {%- endif %}
        {{- '[' + message.role + '] ' + message['content'].strip() + eos_token }}
        {%- endfor %}
        {%- if system is defined %}{{ '(' ~ system ~ ')' }}{% endif %}
        {% if add_generation_prompt %}
        [assistant]
        {% endif %}
        """);
    withCodec(codec -> {
      int[] ids =
          codec.encodeChat(
              List.of(
                  new Message("system", " S "),
                  new Message("user", " U "),
                  new Message("assistant", "A"),
                  new Message("user", "V")));
      int[] expected =
          codec.encodeRaw(
              "<|startoftext|>[user] U<|endoftext|>[assistant] A<|endoftext|>[user] V"
                  + "<|endoftext|>( S )[assistant]\n");
      assertEquals(codec.decode(expected), codec.decode(ids));
      assertArrayEquals(expected, ids);
      var e = assertThrows(MessageException.class, () -> codec.encodeChat(conversation("x", "y")));
      assertTrue(e.getMessage().contains("roles must alternate"), e.getMessage());
    });
  }

  @Test
  void templateWithAnError_saysSo() throws IOException {
    config.put("chat_template", "{% for message in messages %}{{ message.content ");
    withCodec(codec -> {
      var e = assertThrows(TextException.class, () -> codec.encodeChat(conversation("x")));
      assertTrue(e.getMessage().contains("chat template"), e.getMessage());
    });
  }

  @Test
  void templateThatRewritesContents_isRefused() throws IOException {
    config.put("chat_template", "{% for m in messages %}{{ m.content | length }}{% endfor %}");
    withCodec(codec -> {
      var e = assertThrows(MessageException.class, () -> codec.encodeChat(conversation("x")));
      assertTrue(e.getMessage().contains("messages[0]"), e.getMessage());
    });
  }
}
