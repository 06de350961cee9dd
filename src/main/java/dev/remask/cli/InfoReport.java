package dev.remask.cli;

import dev.remask.Model;
import dev.remask.Remask;
import dev.remask.cuda.Context;
import dev.remask.cuda.Device;
import dev.remask.cuda.DeviceSpec;
import dev.remask.cuda.SoftwareDevice;
import dev.remask.kernel.Architecture;
import dev.remask.kernel.Operations;
import dev.remask.model.ModelConfig;
import dev.remask.model.SafeTensors;
import dev.remask.model.TensorInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Collects what `remask info` shows. What fails is noted and the rest goes on: this is the command
/// that is run when something does not work.
final class InfoReport {
  /// One fatbin for each kernel source: kernels/<operation>.cu.
  static final List<String> OPERATIONS =
      List.of(
          "attention",
          "attention_combine_sm80",
          "attention_sm80",
          "attention_sm90a",
          "commit",
          "constrain",
          "embed",
          "gather",
          "gemm",
          "gemm_int8",
          "gemm_rows_sm80",
          "gemm_sm80",
          "gemm_sm90a",
          "lay",
          "loop",
          "odds",
          "quantize",
          "restrict",
          "rmsnorm",
          "rope",
          "select",
          "store_kv",
          "swiglu");

  private static final String IMAGES = "/dev/remask/kernels/";
  private static final Path NVIDIA_VERSION = Path.of("/proc/driver/nvidia/version");
  private static final Pattern VERSION_NUMBER = Pattern.compile("\\b(\\d{3,}\\.\\d+(\\.\\d+)*)\\b");

  /// What NVIDIA's compatibility table asks for images of nvcc 13 (the pinned one).
  private static final String IMAGES_NEED = "NVIDIA driver 580 or newer (images of nvcc 13)";

  private final JsonMapper mapper;
  private final Surroundings surroundings;
  private final CommonOptions options;
  private RuntimeException failure;

  InfoReport(JsonMapper mapper, Surroundings surroundings, CommonOptions options) {
    this.mapper = mapper;
    this.surroundings = surroundings;
    this.options = options;
  }

  /// Everything, in the order in which it is shown.
  ObjectNode collect() {
    ObjectNode report = mapper.createObjectNode();
    report.put("version", Version.text());
    report.put(
        "java", Runtime.version().toString() + " (" + System.getProperty("java.vendor") + ")");
    report.put("nvidia_driver", nvidiaDriver().orElse(null));
    ArrayNode devices = report.putArray("devices");
    Device.list(DeviceSpec.Kind.AUTO).forEach(device -> describe(device, devices.addObject()));
    addImages(report);
    report.put("compute_threads", computeThreads());
    attempt(report, "chosen", this::addChosen);
    options.folder().ifPresent(folder -> attempt(report, "model", json -> addModel(json, folder)));
    return report;
  }

  /// The first thing that failed.
  Optional<RuntimeException> failure() {
    return Optional.ofNullable(failure);
  }

  private interface Part {
    void addTo(ObjectNode json);
  }

  private void attempt(ObjectNode report, String name, Part part) {
    ObjectNode json = report.putObject(name);
    try {
      part.addTo(json);
    } catch (RuntimeException e) {
      json.put("error", ExitStatus.message(e));
      failure = failure == null ? e : failure;
    }
  }

  private static void describe(Device device, ObjectNode json) {
    json.put("device", device.spec().toString());
    json.put("name", device.name());
    int capability = device.computeCapability();
    json.put(
        "compute_capability", capability == 0 ? null : capability / 10 + "." + capability % 10);
    json.put("multiprocessors", device.multiprocessors());
    json.put("memory_bytes", device.totalBytes());
    int version = device.driverVersion();
    json.put("driver_cuda", version / 1000 + "." + version % 1000 / 10);
    json.put("library", device.libraryPath().toString());
  }

  private static void addImages(ObjectNode report) {
    ArrayNode present = report.putArray("gpu_images");
    OPERATIONS.stream()
        .filter(name -> InfoReport.class.getResource(IMAGES + name + ".fatbin") != null)
        .forEach(present::add);
    report.put("gpu_images_need", IMAGES_NEED);
  }

  private int computeThreads() {
    String threads = surroundings.environment().getOrDefault("REMASK_THREADS", "");
    return threads.matches("[1-9]\\d{0,4}")
        ? Integer.parseInt(threads)
        : Runtime.getRuntime().availableProcessors();
  }

  /// The device that --device leads to, opened and with its kernels loaded.
  private void addChosen(ObjectNode json) {
    json.put("asked_for", options.device().toString());
    Device device = Device.open(options.device());
    json.put("device", device.spec().toString());
    try (Context context = Context.open(device);
        Operations operations = Operations.load(context, options.dtype())) {
      json.put("dtype", options.dtype().name().toLowerCase(Locale.ROOT));
      json.put("kernels", operations.architecture().toString());
      ArrayNode runnable = json.putArray("kernels_it_can_run");
      Architecture.runnable(device).forEach(family -> runnable.add(family.toString()));
      json.put("gemm", operations.gemmName());
      if (device.spec().kind() == DeviceSpec.Kind.SOFTWARE) {
        json.put("host_kernels", SoftwareDevice.hostKernels());
      }
      ArrayNode threads = json.putArray("threads");
      threadNames(device).forEach(threads::add);
    }
  }

  private static TreeSet<String> threadNames(Device device) {
    var names = new TreeSet<String>();
    Thread.getAllStackTraces().keySet().stream()
        .map(Thread::getName)
        .filter(name -> name.startsWith("remask-device"))
        .forEach(names::add);
    if (device.isSoftware()) {
      names.addAll(SoftwareDevice.threadNames());
    }
    return names;
  }

  private void addModel(ObjectNode json, Path folder) {
    Path path = surroundings.folder().resolve(folder);
    json.put("folder", path.toString());
    ModelConfig config = ModelConfig.read(path);
    json.put("layers", config.layers());
    json.put("width", config.dModel());
    json.put("heads", config.heads());
    json.put("kv_heads", config.kvHeads());
    json.put("mlp_width", config.mlpHiddenSize());
    json.put("vocabulary", config.vocabSize());
    json.put("max_sequence_length", config.maxSequenceLength());
    addTensors(json, path);
    try (Model model = options.load(surroundings)) {
      json.put("tokenizer", model.codec().isPresent());
      json.put("chat_template", model.codec().filter(codec -> codec.hasChatTemplate()).isPresent());
      json.put("loaded_on", model.device().name());
      json.put("loaded_as", model.dtype().name().toLowerCase(Locale.ROOT));
      json.put("quantize", model.quantization().toString());
      json.put("weight_bytes", Remask.weightBytes(path, model.dtype(), model.quantization()));
      json.put("gemm", model.gemmName());
      json.put("planned_bytes", model.plannedBytes());
      json.put("load_ms", Math.round(model.loadMs()));
    }
  }

  private static void addTensors(ObjectNode json, Path folder) {
    try (SafeTensors tensors = SafeTensors.open(folder)) {
      long parameters = 0;
      long bytes = 0;
      var types = new TreeSet<String>();
      for (TensorInfo tensor : tensors.tensors().values()) {
        parameters += tensor.shape().stream().reduce(1L, Math::multiplyExact);
        bytes += tensor.bytes();
        types.add(tensor.type().name().toLowerCase(Locale.ROOT));
      }
      json.put("parameters", parameters);
      json.put("stored_as", String.join(", ", types));
      json.put("stored_bytes", bytes);
    }
  }

  private static Optional<String> nvidiaDriver() {
    try {
      Matcher version = VERSION_NUMBER.matcher(Files.readString(NVIDIA_VERSION));
      return version.find() ? Optional.of(version.group(1)) : Optional.empty();
    } catch (IOException e) {
      return Optional.empty(); // no NVIDIA driver
    }
  }
}
