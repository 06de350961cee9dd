package dev.remask.embed;

import dev.remask.GenerateRequest;
import dev.remask.Generation;
import dev.remask.LoadOptions;
import dev.remask.Model;
import dev.remask.Remask;
import dev.remask.Session;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.diffusion.CacheMode;
import dev.remask.diffusion.Commit;
import dev.remask.diffusion.DiffusionOptions;
import dev.remask.diffusion.Remasking;
import dev.remask.kernel.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// Prints how many compute threads there are, and then answers with the bits of their confidences:
/// of requests alone and together, sampled ones among them, in both types.
final class AnswersOfThreads {
  private static final List<DiffusionOptions> OPTIONS =
      List.of(
          options().build(),
          options().temperature(0.8).seed(7).build(),
          options().temperature(1.2).topK(20).topP(0.9).seed(-3).steps(12).build(),
          options().temperature(0.5).remasking(Remasking.RANDOM).cfgScale(0.5).seed(1).build(),
          options().threshold(0.6).revisionBudget(8).temperature(0.3).seed(2).build(),
          options().blockLength(12).cache(CacheMode.DUAL).temperature(0.7).seed(4).build());

  private AnswersOfThreads() {}

  private static DiffusionOptions.Builder options() {
    return DiffusionOptions.builder().genLength(48);
  }

  public static void main(String[] none) throws Exception {
    for (DType dtype : DType.values()) {
      LoadOptions options =
          LoadOptions.defaults().withDevice(DeviceSpec.parse("software")).withDType(dtype);
      try (Model model = Remask.load(Remask.defaultModel(), options);
          Session session = model.session()) {
        var together = new ArrayList<Generation>();
        for (DiffusionOptions one : OPTIONS) {
          together.add(session.submit(request(one)));
        }
        for (int i = 0; i < OPTIONS.size(); i++) {
          print(dtype + " together " + i, together.get(i).await());
          print(dtype + " alone " + i, model.generate(request(OPTIONS.get(i))));
        }
        System.out.println("threads " + SoftwareDevice.threadNames().size());
      }
    }
  }

  private static GenerateRequest request(DiffusionOptions options) {
    return GenerateRequest.builder()
        .prompt("Name every capital that you know, and then what is 47 + 38?")
        .options(options)
        .trace(true)
        .build();
  }

  private static void print(String what, dev.remask.GenerateResult result) {
    System.out.println(what + " " + Arrays.toString(result.outputIds()));
    var log = new StringBuilder();
    for (Commit commit : result.trace()) {
      log.append(' ')
          .append(commit.step())
          .append(':')
          .append(commit.position())
          .append(':')
          .append(commit.token())
          .append(':')
          .append(Integer.toHexString(Float.floatToRawIntBits(commit.confidence())));
    }
    System.out.println(what + log);
  }
}
