package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.remask.measure.Allocation;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.invoke.MethodHandle;
import java.util.concurrent.TimeUnit;
import jcuda.driver.CUfunction;
import jcuda.driver.JCudaDriver;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.BenchmarkParams;

/// cuLaunchKernel of a kernel that does nothing and has 1, 8 or 16 parameters, of which every
/// number is written anew before each launch, as in a step.
///
/// `panama` launches as the product does, by a packed buffer of arguments; `jcuda` by the pointers
/// to Java arrays that its JNI walks.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class LaunchCallBenchmark {
  @Param("software")
  public String device;

  @Param({"1", "8", "16"})
  public int arguments;

  @Param({"STREAM", "CAPTURE"})
  public Into into;

  private CallFixture fixture;
  private CallFixture.Packed packed;
  private JCudaSide.Parameters parameters;
  private long function;
  private CUfunction jcudaFunction;

  private static final class Handles {
    static final MethodHandle CRITICAL =
        CallFixture.handle(
            "cuLaunchKernel",
            FunctionDescriptor.of(
                JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT,
                JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG),
            Linker.Option.critical(false));
  }

  @Setup
  public void open() {
    fixture = new CallFixture(device, into);
    packed = fixture.new Packed(arguments);
    function = fixture.function(arguments);
    parameters = fixture.jcuda.new Parameters(arguments);
    jcudaFunction = fixture.jcuda.function(arguments);
  }

  @Setup(Level.Invocation)
  public void begin(BenchmarkParams parameters) {
    fixture.begin(parameters.getBenchmark().endsWith("jcuda"));
  }

  @TearDown(Level.Invocation)
  public void end() {
    fixture.end();
  }

  @TearDown
  public void close() {
    fixture.close();
  }

  @Benchmark
  @OperationsPerInvocation(CallFixture.BATCH)
  public int panama(Allocation allocation) {
    int status = 0;
    for (int i = 0; i < CallFixture.BATCH; i++) {
      packed.write(i);
      status |=
          ModuleApi.cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, fixture.stream, 0, packed.extra);
    }
    fixture.count(allocation);
    return status;
  }

  @Benchmark
  @OperationsPerInvocation(CallFixture.BATCH)
  public int critical(Allocation allocation) throws Throwable {
    int status = 0;
    for (int i = 0; i < CallFixture.BATCH; i++) {
      packed.write(i);
      status |=
          (int)
              Handles.CRITICAL.invokeExact(
                  function, 1, 1, 1, 32, 1, 1, 0, fixture.stream, 0L, packed.extra);
    }
    fixture.count(allocation);
    return status;
  }

  @Benchmark
  @OperationsPerInvocation(CallFixture.BATCH)
  public int jcuda(Allocation allocation) {
    int status = 0;
    for (int i = 0; i < CallFixture.BATCH; i++) {
      parameters.write(i);
      status |=
          JCudaDriver.cuLaunchKernel(
              jcudaFunction, 1, 1, 1, 32, 1, 1, 0, fixture.jcuda.stream, parameters.all, null);
    }
    fixture.count(allocation);
    return status;
  }
}
