package dev.remask;

import com.sun.management.OperatingSystemMXBean;
import dev.remask.kernel.DType;
import dev.remask.model.Quantization;
import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// What options trade on tiny-llada: answers right of the 300 questions of the goldens, passes,
/// time, and bytes of weights. Prints the table of docs/accelerations.md; arguments: bf16 or f32
/// (the default), then words one of which a row's name must contain.
public final class QualityTable {
  private static final String QUESTIONS = "/golden/tiny-llada/cases/questions.jsonl";

  /// Options of the rows, over a gen_length of 32 in one block.
  private static final List<String> ROWS =
      List.of(
          "",
          "'block_length':8",
          "'steps':16",
          "'steps':8",
          "'steps':8,'schedule':'cosine'",
          "'remasking':'entropy'",
          "'remasking':'margin'",
          "'remasking':'random'",
          "'remasking':'origin'",
          "'block_length':8,'early_stop':true",
          "'gen_length':8,'max_gen_length':32",
          "'steps':8,'revision_budget':16",
          "'threshold':0.9",
          "'threshold':0.6",
          "'threshold':0.6,'revision_budget':16",
          "'factor':1",
          "'block_length':8,'threshold':0.9",
          "'block_length':8,'threshold':0.6",
          "'block_length':8,'factor':1",
          "'block_length':8,'cache':'prefix'",
          "'block_length':8,'cache':'dual'",
          "'block_length':8,'cache':'dual','cache_refresh':2",
          "'block_length':8,'cache':'prefix','threshold':0.9",
          "'block_length':8,'cache':'dual','threshold':0.9",
          "'block_length':8,'cache':'dual','threshold':0.6",
          "'block_length':8,'cache':'dual','factor':1");

  /// Rows that are measured once more with the weights as 8-bit integers.
  private static final List<String> QUANTIZED_ROWS =
      List.of("", "'steps':8", "'block_length':8,'cache':'dual','threshold':0.9");

  private static final int LENGTH = 32;

  /// Questions that are asked one by one, for the times.
  private static final int TIMED = 30;

  private static final double NANOS_PER_MS = 1e6;

  private record Question(String prompt, String answer) {}

  private QualityTable() {}

  /// Runs every row over every question, all at once, which changes no answer; the times are those
  /// of some of them asked one by one.
  public static void main(String[] arguments) throws IOException, InterruptedException {
    DType dtype =
        DType.valueOf(arguments.length == 0 ? "F32" : arguments[0].toUpperCase(Locale.ROOT));
    List<String> words =
        Arrays.asList(arguments).subList(Math.min(1, arguments.length), arguments.length);
    List<Question> questions = questions();
    for (Quantization quantization : Quantization.values()) {
      boolean plain = quantization == Quantization.NONE;
      List<String> rows =
          (plain ? ROWS : QUANTIZED_ROWS)
              .stream().filter(row -> matches(name(row, quantization), words)).toList();
      if (rows.isEmpty()) {
        continue;
      }
      var options = LoadOptions.defaults().withDType(dtype).withQuantization(quantization);
      try (Model model = Remask.load(Remask.defaultModel(), options)) {
        System.out.printf(
            Locale.ROOT,
            "%n%s, %s, quantize %s: %,d bytes of weights; gen_length %d%n%n",
            model.device().name(),
            dtype,
            quantization,
            Remask.weightBytes(Remask.defaultModel(), dtype, quantization),
            LENGTH);
        System.out.printf(
            "| options | right of %d | passes | wall ms | processor ms |%n|---|---|---|---|---|%n",
            questions.size());
        measure(model, "", questions.subList(0, TIMED)); // warm
        for (String row : rows) {
          System.out.println(
              "| " + name(row, quantization) + " | " + measure(model, row, questions) + " |");
        }
      }
    }
  }

  private static boolean matches(String name, List<String> words) {
    return words.isEmpty() || words.stream().anyMatch(name::contains);
  }

  /// Such as "block_length 8, cache dual".
  private static String name(String row, Quantization quantization) {
    String plain = row.replace("'", "").replace(":true", "").replace(':', ' ').replace(",", ", ");
    String name = row.isEmpty() ? "none: one block, one token a step" : plain;
    return quantization == Quantization.NONE ? name : "quantize " + quantization + ", " + name;
  }

  private static String measure(Model model, String row, List<Question> questions)
      throws InterruptedException {
    int right = 0;
    long passes = 0;
    try (Session session = model.session()) {
      var generations = new ArrayList<Generation>();
      for (Question question : questions) {
        generations.add(session.submit(request(question, row)));
      }
      for (int i = 0; i < questions.size(); i++) {
        GenerateResult result = generations.get(i).await();
        right += result.text().orElseThrow().equals(questions.get(i).answer()) ? 1 : 0;
        passes += result.forwardPasses();
      }
    }
    var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    var wall = new double[TIMED];
    var processor = new double[TIMED];
    for (int i = 0; i < TIMED; i++) {
      GenerateRequest request = request(questions.get(i), row);
      long wallBegin = System.nanoTime();
      long processorBegin = system.getProcessCpuTime();
      model.generate(request);
      wall[i] = (System.nanoTime() - wallBegin) / NANOS_PER_MS;
      processor[i] = (system.getProcessCpuTime() - processorBegin) / NANOS_PER_MS;
    }
    return String.format(
        Locale.ROOT,
        "%d | %.1f | %.1f | %.1f",
        right,
        passes / (double) questions.size(),
        median(wall),
        median(processor));
  }

  private static double median(double[] values) {
    Arrays.sort(values);
    int half = values.length / 2;
    return values.length % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  }

  private static GenerateRequest request(Question question, String row) {
    JsonMapper mapper = JsonMapper.shared();
    var options = (ObjectNode) mapper.readTree("{" + row.replace('\'', '"') + "}");
    if (!options.has("gen_length")) {
      options.put("gen_length", LENGTH);
    }
    ObjectNode request = mapper.createObjectNode().put("prompt", question.prompt());
    return GenerateRequest.fromJson(request.set("options", options).toString());
  }

  private static List<Question> questions() throws IOException {
    var questions = new ArrayList<Question>();
    try (InputStream in = QualityTable.class.getResourceAsStream(QUESTIONS)) {
      String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      for (String line : text.lines().toList()) {
        JsonNode json = JsonMapper.shared().readTree(line);
        questions.add(
            new Question(json.get("prompt").stringValue(), json.get("answer").stringValue()));
      }
    }
    return questions;
  }
}
