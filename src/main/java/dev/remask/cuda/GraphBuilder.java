package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/// Puts a graph together from captured work and conditional nodes, each after what was added before
/// it. One builder fills one graph: that of [Stream#build], or the body of a conditional node.
///
/// A body takes kernels, copies, fills and further conditional nodes, but neither events that the
/// host waits for nor work of the host. Device thread, during the call that it was handed to.
public final class GraphBuilder {
  /// The variable of a conditional node, which kernels set (`cudaGraphSetConditional`).
  ///
  /// @param handle what a kernel takes as `unsigned long long`
  public record Condition(long handle) {}

  private static final long TYPE = Structs.offset(Structs.CUgraphNodeParams, "type");
  private static final long UNION = Structs.offset(Structs.CUgraphNodeParams, "reserved1");
  private static final long HANDLE = in("handle");
  private static final long CONDITION_TYPE = in("type");
  private static final long SIZE = in("size");
  private static final long BODIES = in("phGraph_out");
  private static final long CONTEXT = in("ctx");

  private final Context context;
  private final Stream stream;
  private final Arena arena;
  private final long root;
  private final long graph;

  /// What the next node depends on: an array of node handles.
  private MemorySegment after = MemorySegment.NULL;

  private long afterCount;

  /// Of this graph, and of the bodies within it.
  private final LaunchList launches;

  private final LaunchList bodyLaunches;

  private GraphBuilder(
      Stream stream,
      Arena arena,
      long root,
      long graph,
      LaunchList launches,
      LaunchList bodyLaunches) {
    this.context = stream.context();
    this.stream = stream;
    this.arena = arena;
    this.root = root;
    this.graph = graph;
    this.launches = launches;
    this.bodyLaunches = bodyLaunches;
  }

  /// Makes a graph (CUgraph) that the caller destroys.
  static long build(
      Stream stream, Consumer<GraphBuilder> content, LaunchList launches, LaunchList bodyLaunches) {
    Context context = stream.context();
    Status.check(GraphApi.cuGraphCreate(context.out(), 0), "cuGraphCreate");
    long graph = context.outLong();
    try (Arena arena = Arena.ofConfined()) {
      content.accept(new GraphBuilder(stream, arena, graph, graph, launches, bodyLaunches));
      return graph;
    } catch (Throwable thrown) {
      Context.suppressing(
          thrown, () -> Status.check(GraphApi.cuGraphDestroy(graph), "cuGraphDestroy"));
      throw thrown;
    }
  }

  /// Makes a variable that is `launchValue` whenever a launch of the graph begins; one conditional
  /// node, anywhere in the graph, takes it.
  public Condition condition(int launchValue) {
    context.checkThread(this);
    Status.check(
        GraphApi.cuGraphConditionalHandleCreate(
            context.out(),
            root,
            context.handle(),
            launchValue,
            DriverConstants.CU_GRAPH_COND_ASSIGN_DEFAULT),
        "cuGraphConditionalHandleCreate",
        "launchValue",
        launchValue);
    return new Condition(context.outLong());
  }

  /// Adds what `work` enqueues on the stream, as [Stream#capture] does.
  public void capture(Runnable work) {
    context.checkThread(this);
    Status.check(
        GraphApi.cuStreamBeginCaptureToGraph(
            stream.handle(),
            graph,
            after.address(),
            0,
            afterCount,
            DriverConstants.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
        "cuStreamBeginCaptureToGraph",
        stream);
    stream.captured(launches);
    try {
      work.run();
      noteEnd();
    } catch (Throwable thrown) {
      abandon();
      throw thrown;
    } finally {
      stream.captured(null);
    }
    int status = GraphApi.cuStreamEndCapture(stream.handle(), context.out());
    if (status != DriverConstants.CUDA_SUCCESS) {
      CudaException failure = Status.failure(status, "cuStreamEndCapture", stream.toString());
      abandon();
      throw failure;
    }
  }

  /// How a broken capture ends is of no interest; the stream must be usable again.
  private void abandon() {
    GraphApi.cuStreamEndCapture(stream.handle(), context.out());
    DriverLog.drain();
  }

  /// Adds a node that runs its body again and again as long as the condition is not 0, and asks
  /// first.
  public void repeatWhile(Condition condition, Consumer<GraphBuilder> body) {
    add(DriverConstants.CU_GRAPH_COND_TYPE_WHILE, condition, body);
  }

  /// Adds a node that runs its body once if the condition is not 0.
  public void runIf(Condition condition, Consumer<GraphBuilder> body) {
    add(DriverConstants.CU_GRAPH_COND_TYPE_IF, condition, body);
  }

  @Override
  public String toString() {
    return "GraphBuilder[0x" + Long.toHexString(graph) + "]";
  }

  private void add(int type, Condition condition, Consumer<GraphBuilder> body) {
    context.checkThread(this);
    MemorySegment parameters = arena.allocate(Structs.CUgraphNodeParams);
    parameters.set(JAVA_INT, TYPE, DriverConstants.CU_GRAPH_NODE_TYPE_CONDITIONAL);
    parameters.set(JAVA_LONG, HANDLE, condition.handle());
    parameters.set(JAVA_INT, CONDITION_TYPE, type);
    parameters.set(JAVA_INT, SIZE, 1);
    parameters.set(JAVA_LONG, CONTEXT, context.handle());
    MemorySegment node = arena.allocate(JAVA_LONG);
    Status.check(
        GraphApi.cuGraphAddNode_v2(
            node.address(), graph, after.address(), 0, afterCount, parameters.address()),
        "cuGraphAddNode_v2",
        "conditional node of type",
        type);
    after = node;
    afterCount = 1;
    MemorySegment bodies =
        MemorySegment.ofAddress(parameters.get(JAVA_LONG, BODIES)).reinterpret(Long.BYTES);
    body.accept(
        new GraphBuilder(
            stream, arena, root, bodies.get(JAVA_LONG, 0), bodyLaunches, bodyLaunches));
  }

  /// Keeps what the capture that is about to end has come to; a capture of nothing changes nothing.
  private void noteEnd() {
    MemorySegment out = arena.allocate(JAVA_LONG, 3);
    long at = out.address();
    Status.check(
        GraphApi.cuStreamGetCaptureInfo_v3(
            stream.handle(), at, 0, 0, at + Long.BYTES, 0, at + 2 * Long.BYTES),
        "cuStreamGetCaptureInfo_v3",
        stream);
    long nodes = out.getAtIndex(JAVA_LONG, 1);
    long count = out.getAtIndex(JAVA_LONG, 2);
    if (nodes != 0 && count > 0) {
      long bytes = count * Long.BYTES;
      // The driver's own array, which the end of the capture may free.
      after = arena.allocate(bytes, Long.BYTES);
      after.copyFrom(MemorySegment.ofAddress(nodes).reinterpret(bytes));
      afterCount = count;
    }
  }

  private static long in(String field) {
    return UNION + Structs.offset(Structs.CUDA_CONDITIONAL_NODE_PARAMS, field);
  }
}
