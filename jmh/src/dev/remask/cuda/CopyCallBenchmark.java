package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.remask.measure.Allocation;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.invoke.MethodHandle;
import java.util.concurrent.TimeUnit;
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

/// cuMemcpyHtoDAsync of 64 bytes from pinned memory.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class CopyCallBenchmark {
  @Param("software")
  public String device;

  @Param({"STREAM", "CAPTURE"})
  public Into into;

  private CallFixture fixture;

  private static final class Handles {
    static final MethodHandle CRITICAL =
        CallFixture.handle(
            "cuMemcpyHtoDAsync_v2",
            FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
            Linker.Option.critical(false));
  }

  @Setup
  public void open() {
    fixture = new CallFixture(device, into);
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
      status |=
          MemoryApi.cuMemcpyHtoDAsync_v2(
              fixture.memory, fixture.pinned, CallFixture.COPIED_BYTES, fixture.stream);
    }
    fixture.count(allocation);
    return status;
  }

  @Benchmark
  @OperationsPerInvocation(CallFixture.BATCH)
  public int critical(Allocation allocation) throws Throwable {
    int status = 0;
    for (int i = 0; i < CallFixture.BATCH; i++) {
      status |=
          (int)
              Handles.CRITICAL.invokeExact(
                  fixture.memory, fixture.pinned, (long) CallFixture.COPIED_BYTES, fixture.stream);
    }
    fixture.count(allocation);
    return status;
  }

  @Benchmark
  @OperationsPerInvocation(CallFixture.BATCH)
  public int jcuda(Allocation allocation) {
    JCudaSide side = fixture.jcuda;
    int status = 0;
    for (int i = 0; i < CallFixture.BATCH; i++) {
      status |=
          JCudaDriver.cuMemcpyHtoDAsync(
              side.memory, side.pinned, CallFixture.COPIED_BYTES, side.stream);
    }
    fixture.count(allocation);
    return status;
  }
}
