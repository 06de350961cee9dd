package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.remask.measure.Allocation;
import dev.remask.measure.JavaBytes;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.concurrent.TimeUnit;
import jcuda.driver.JCudaDriver;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
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

/// cuCtxGetCurrent, which does next to nothing: what a call into the driver costs at least, by a
/// plain downcall, by a critical one (the thread stays "in Java" and no collection can begin: not
/// for calls that may wait) and by JCuda's JNI.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class ContextCallBenchmark {
  @Param("software")
  public String device;

  private CallFixture fixture;
  private MemorySegment out;

  /// Linked when the device has been opened.
  private static final class Handles {
    private static final FunctionDescriptor TYPE = FunctionDescriptor.of(JAVA_INT, JAVA_LONG);
    static final MethodHandle PLAIN = CallFixture.handle("cuCtxGetCurrent", TYPE);
    static final MethodHandle CRITICAL =
        CallFixture.handle("cuCtxGetCurrent", TYPE, Linker.Option.critical(false));
  }

  @Setup
  public void open() {
    fixture = new CallFixture(device, Into.STREAM);
    out = fixture.arena.allocate(JAVA_LONG);
  }

  @TearDown
  public void close() {
    fixture.close();
  }

  @Benchmark
  @OperationsPerInvocation(CallFixture.BATCH)
  public int panama(Allocation allocation) throws Throwable {
    long before = JavaBytes.now();
    int status = 0;
    for (int i = 0; i < CallFixture.BATCH; i++) {
      status |= (int) Handles.PLAIN.invokeExact(out.address());
    }
    allocation.count(JavaBytes.now() - before, CallFixture.BATCH);
    return status;
  }

  @Benchmark
  @OperationsPerInvocation(CallFixture.BATCH)
  public int critical(Allocation allocation) throws Throwable {
    long before = JavaBytes.now();
    int status = 0;
    for (int i = 0; i < CallFixture.BATCH; i++) {
      status |= (int) Handles.CRITICAL.invokeExact(out.address());
    }
    allocation.count(JavaBytes.now() - before, CallFixture.BATCH);
    return status;
  }

  @Benchmark
  @OperationsPerInvocation(CallFixture.BATCH)
  public int jcuda(Allocation allocation) {
    long before = JavaBytes.now();
    int status = 0;
    for (int i = 0; i < CallFixture.BATCH; i++) {
      status |= JCudaDriver.cuCtxGetCurrent(fixture.jcuda.current);
    }
    allocation.count(JavaBytes.now() - before, CallFixture.BATCH);
    return status;
  }
}
