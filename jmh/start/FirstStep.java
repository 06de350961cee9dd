import dev.remask.GenerateRequest;
import dev.remask.LoadOptions;
import dev.remask.Model;
import dev.remask.Remask;
import dev.remask.cuda.DeviceSpec;
import dev.remask.diffusion.DiffusionOptions;

/// Prints the milliseconds from the call of `Remask.load` to the first step's commits, of the
/// built-in model in a JVM that has done nothing else.
public final class FirstStep {
  private static final double NANOS_PER_MS = 1e6;

  private FirstStep() {}

  /// Arguments: none.
  public static void main(String[] arguments) {
    long begin = System.nanoTime();
    long[] first = new long[1];
    LoadOptions software = LoadOptions.defaults().withDevice(DeviceSpec.parse("software"));
    try (Model model = Remask.load(Remask.defaultModel(), software)) {
      var request =
          GenerateRequest.builder()
              .prompt("What is 47 + 38?")
              .options(DiffusionOptions.builder().genLength(64).steps(64).build())
              .build();
      model.generate(
          request,
          step -> {
            if (first[0] == 0) {
              first[0] = System.nanoTime();
            }
          });
    }
    System.out.println("first step after ms: " + (first[0] - begin) / NANOS_PER_MS);
  }
}
