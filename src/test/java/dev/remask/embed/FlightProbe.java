package dev.remask.embed;

import dev.remask.GenerateRequest;
import dev.remask.LoadOptions;
import dev.remask.Model;
import dev.remask.Remask;
import dev.remask.cuda.DeviceSpec;
import dev.remask.diffusion.DiffusionOptions;
import java.util.Arrays;

/// A short answer, and whether this JVM has a flight recorder.
public final class FlightProbe {
  private FlightProbe() {}

  /// Prints both.
  public static void main(String[] arguments) {
    System.out.println("jdk.jfr: " + ModuleLayer.boot().findModule("jdk.jfr").isPresent());
    LoadOptions options = LoadOptions.defaults().withDevice(DeviceSpec.parse("software"));
    try (Model model = Remask.load(Remask.defaultModel(), options)) {
      var steps = DiffusionOptions.builder().genLength(8).steps(4).build();
      for (int i = 0; i < 2; i++) {
        int[] answer =
            model
                .generate(GenerateRequest.builder().promptIds(1, 2, 3).options(steps).build())
                .outputIds();
        System.out.println(Arrays.toString(answer));
      }
    }
  }
}
