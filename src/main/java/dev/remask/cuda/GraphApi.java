package dev.remask.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.invoke.MethodHandle;

/// Driver functions on stream capture and graphs, under their C names.
final class GraphApi {
  private static final NativeLibrary LIBRARY = NativeLibraries.driver();
  private static final MethodHandle CU_STREAM_BEGIN_CAPTURE_V2 =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_INT), "cuStreamBeginCapture_v2");
  private static final MethodHandle CU_STREAM_BEGIN_CAPTURE_TO_GRAPH =
      LIBRARY.required(
          Linking.status(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT),
          "cuStreamBeginCaptureToGraph");
  private static final MethodHandle CU_STREAM_GET_CAPTURE_INFO_V3 =
      LIBRARY.required(
          Linking.status(
              JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
          "cuStreamGetCaptureInfo_v3");
  private static final MethodHandle CU_GRAPH_CREATE =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_INT), "cuGraphCreate");
  private static final MethodHandle CU_GRAPH_ADD_NODE_V2 =
      LIBRARY.required(
          Linking.status(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
          "cuGraphAddNode_v2");
  private static final MethodHandle CU_GRAPH_CONDITIONAL_HANDLE_CREATE =
      LIBRARY.optional(
          Linking.status(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT),
          "cuGraphConditionalHandleCreate");
  private static final MethodHandle CU_STREAM_END_CAPTURE =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_LONG), "cuStreamEndCapture");
  private static final MethodHandle CU_GRAPH_GET_NODES =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_LONG, JAVA_LONG), "cuGraphGetNodes");
  private static final MethodHandle CU_GRAPH_DESTROY =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuGraphDestroy");
  private static final MethodHandle CU_GRAPH_INSTANTIATE_WITH_FLAGS =
      LIBRARY.required(
          Linking.status(JAVA_LONG, JAVA_LONG, JAVA_LONG), "cuGraphInstantiateWithFlags");
  private static final MethodHandle CU_GRAPH_EXEC_UPDATE_V2 =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_LONG, JAVA_LONG), "cuGraphExecUpdate_v2");
  private static final MethodHandle CU_GRAPH_LAUNCH =
      LIBRARY.required(Linking.status(JAVA_LONG, JAVA_LONG), "cuGraphLaunch");
  private static final MethodHandle CU_GRAPH_EXEC_DESTROY =
      LIBRARY.required(Linking.status(JAVA_LONG), "cuGraphExecDestroy");

  private GraphApi() {}

  static int cuStreamBeginCapture_v2(long stream, int mode) {
    try {
      return (int) CU_STREAM_BEGIN_CAPTURE_V2.invokeExact(stream, mode);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuStreamBeginCaptureToGraph(
      long stream, long graph, long dependencies, long edges, long count, int mode) {
    try {
      return (int)
          CU_STREAM_BEGIN_CAPTURE_TO_GRAPH.invokeExact(
              stream, graph, dependencies, edges, count, mode);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuStreamGetCaptureInfo_v3(
      long stream, long status, long id, long graph, long dependencies, long edges, long count) {
    try {
      return (int)
          CU_STREAM_GET_CAPTURE_INFO_V3.invokeExact(
              stream, status, id, graph, dependencies, edges, count);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuGraphCreate(long graph, int flags) {
    try {
      return (int) CU_GRAPH_CREATE.invokeExact(graph, flags);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuGraphAddNode_v2(
      long node, long graph, long dependencies, long edges, long count, long parameters) {
    try {
      return (int)
          CU_GRAPH_ADD_NODE_V2.invokeExact(node, graph, dependencies, edges, count, parameters);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  /// Whether the driver has conditional handles at all (CUDA 12.3).
  static boolean has_cuGraphConditionalHandleCreate() {
    return CU_GRAPH_CONDITIONAL_HANDLE_CREATE != null;
  }

  static int cuGraphConditionalHandleCreate(
      long handle, long graph, long context, int launchValue, int flags) {
    try {
      return (int)
          CU_GRAPH_CONDITIONAL_HANDLE_CREATE.invokeExact(
              handle, graph, context, launchValue, flags);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuStreamEndCapture(long stream, long graph) {
    try {
      return (int) CU_STREAM_END_CAPTURE.invokeExact(stream, graph);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuGraphGetNodes(long graph, long nodes, long count) {
    try {
      return (int) CU_GRAPH_GET_NODES.invokeExact(graph, nodes, count);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuGraphDestroy(long graph) {
    try {
      return (int) CU_GRAPH_DESTROY.invokeExact(graph);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuGraphInstantiateWithFlags(long executable, long graph, long flags) {
    try {
      return (int) CU_GRAPH_INSTANTIATE_WITH_FLAGS.invokeExact(executable, graph, flags);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuGraphExecUpdate_v2(long executable, long graph, long resultInfo) {
    try {
      return (int) CU_GRAPH_EXEC_UPDATE_V2.invokeExact(executable, graph, resultInfo);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuGraphLaunch(long executable, long stream) {
    try {
      return (int) CU_GRAPH_LAUNCH.invokeExact(executable, stream);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }

  static int cuGraphExecDestroy(long executable) {
    try {
      return (int) CU_GRAPH_EXEC_DESTROY.invokeExact(executable);
    } catch (Throwable thrown) {
      throw Linking.unexpected(thrown);
    }
  }
}
