package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.remask.support.Flight;
import dev.remask.support.Pending;
import java.util.function.Consumer;

/// Captured work that one call launches again and again. Device thread.
public final class Graph extends Resource {
  private static final long UPDATE_RESULT =
      Structs.offset(Structs.CUgraphExecUpdateResultInfo, "result");

  private long executable;
  private int nodeCount;

  /// Its own, and those of the bodies of its conditional nodes.
  private LaunchList launches;

  private final LaunchList bodyLaunches;

  private Graph(
      Context context,
      long executable,
      int nodeCount,
      LaunchList launches,
      LaunchList bodyLaunches) {
    super(context);
    this.executable = executable;
    this.nodeCount = nodeCount;
    this.launches = launches;
    this.bodyLaunches = bodyLaunches;
  }

  static Graph capture(Stream stream, Runnable work) {
    var launches = new LaunchList();
    long template = captureTemplate(stream, work, launches);
    return of(stream.context(), template, launches, new LaunchList());
  }

  static Graph build(Stream stream, Consumer<GraphBuilder> content) {
    var launches = new LaunchList();
    var bodyLaunches = new LaunchList();
    long template = GraphBuilder.build(stream, content, launches, bodyLaunches);
    return of(stream.context(), template, launches, bodyLaunches);
  }

  /// Makes the template executable and destroys it.
  private static Graph of(
      Context context, long template, LaunchList launches, LaunchList bodyLaunches) {
    long executable = 0;
    int nodeCount;
    try {
      nodeCount = countNodes(context, template);
      executable = instantiate(context, template);
      destroyTemplate(template);
    } catch (Throwable thrown) {
      if (executable == 0) {
        Context.suppressing(thrown, () -> destroyTemplate(template));
      } else {
        long made = executable;
        Context.suppressing(thrown, () -> destroyExecutable(made));
      }
      throw thrown;
    }
    return new Graph(context, executable, nodeCount, launches, bodyLaunches);
  }

  /// Enqueues the graph's work on `stream`.
  public void launch(Stream stream) {
    checkUse();
    stream.checkUse();
    checkSameContext(stream);
    Pending observed = Flight.beginGraphLaunch();
    Status.check(
        GraphApi.cuGraphLaunch(executable, stream.handle()), "cuGraphLaunch", this, stream);
    if (observed != null) {
      Flight.endGraphLaunch(observed, nodeCount, launches.launches(), bodyLaunches.launches());
    }
    if (Flight.isKernelOn()) {
      launches.record(Flight.BY_GRAPH, 1);
    }
  }

  /// Tells a recorder how often the bodies of this graph's WHILE node have run, which the driver
  /// does not say and whoever reads what the bodies wrote may know.
  public void recordBodies(long times) {
    if (times > 0 && Flight.isKernelOn()) {
      bodyLaunches.record(Flight.BY_WHILE, times);
    }
  }

  /// Captures `work` anew and makes it what this graph does from the next launch on; launches
  /// already enqueued are not affected.
  ///
  /// Work of the same shape updates the graph in place. Where the driver refuses that, `stream` is
  /// synchronised and the graph is instantiated again; it must then be idle on other streams. Not
  /// for a graph with conditional nodes.
  public void update(Stream stream, Runnable work) {
    checkUse();
    stream.checkUse();
    checkSameContext(stream);
    var newLaunches = new LaunchList();
    long template = captureTemplate(stream, work, newLaunches);
    try {
      int newCount = countNodes(context(), template);
      long result = context().scratch().address();
      int status = GraphApi.cuGraphExecUpdate_v2(executable, template, result);
      if (status == DriverConstants.CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE) {
        DriverLog.drain();
        replace(stream, template);
      } else {
        Status.check(
            status,
            "cuGraphExecUpdate_v2",
            "result",
            context().scratch().get(JAVA_INT, UPDATE_RESULT));
      }
      nodeCount = newCount;
      launches = newLaunches;
    } catch (Throwable thrown) {
      Context.suppressing(thrown, () -> destroyTemplate(template));
      throw thrown;
    }
    destroyTemplate(template);
  }

  /// Number of operations in the graph; a conditional node counts as one, whatever is in its body.
  public int nodeCount() {
    return nodeCount;
  }

  @Override
  public String toString() {
    return "Graph[" + nodeCount + " nodes]";
  }

  @Override
  void release() {
    destroyExecutable(executable);
  }

  private void replace(Stream stream, long template) {
    stream.synchronize();
    long fresh = instantiate(context(), template);
    long old = executable;
    executable = fresh;
    destroyExecutable(old);
  }

  private static long captureTemplate(Stream stream, Runnable work, LaunchList launches) {
    Context context = stream.context();
    Status.check(
        GraphApi.cuStreamBeginCapture_v2(
            stream.handle(), DriverConstants.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
        "cuStreamBeginCapture_v2",
        stream);
    stream.captured(launches);
    try {
      work.run();
    } catch (Throwable thrown) {
      Context.suppressing(thrown, () -> abandon(context, stream));
      throw thrown;
    } finally {
      stream.captured(null);
    }
    int status = GraphApi.cuStreamEndCapture(stream.handle(), context.out());
    if (status != DriverConstants.CUDA_SUCCESS) {
      CudaException failure = Status.failure(status, "cuStreamEndCapture", stream.toString());
      Context.suppressing(failure, () -> abandon(context, stream));
      throw failure;
    }
    return context.outLong();
  }

  /// Ends a capture that failed: the stream must be usable again. How that ends is of no interest;
  /// a driver may have ended the capture itself.
  private static void abandon(Context context, Stream stream) {
    context.scratch().set(JAVA_LONG, 0, 0);
    GraphApi.cuStreamEndCapture(stream.handle(), context.out());
    long template = context.outLong();
    if (template != 0) {
      destroyTemplate(template);
    }
  }

  private static void destroyTemplate(long template) {
    Status.check(GraphApi.cuGraphDestroy(template), "cuGraphDestroy");
  }

  private static void destroyExecutable(long executable) {
    Status.check(GraphApi.cuGraphExecDestroy(executable), "cuGraphExecDestroy");
  }

  private static int countNodes(Context context, long template) {
    Status.check(GraphApi.cuGraphGetNodes(template, 0, context.out()), "cuGraphGetNodes");
    return Math.toIntExact(context.outLong());
  }

  private static long instantiate(Context context, long template) {
    Status.check(
        GraphApi.cuGraphInstantiateWithFlags(context.out(), template, 0),
        "cuGraphInstantiateWithFlags");
    return context.outLong();
  }
}
