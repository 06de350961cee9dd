/// A GPU kernel-level runtime for masked diffusion language models.
///
/// Embedders need {@code dev.remask}; the other exported packages are the layers below it, each of
/// which imports only those below itself: diffusion, model, kernel, cuda. Text and command line are
/// optional at run time: whoever passes token ids needs neither the tokenizer nor picocli. So is
/// JDK Flight Recorder, which has events of loads, requests, runs and launches where it is there.
module dev.remask {
  requires tools.jackson.databind;
  requires static jdk.jfr;
  requires static ai.djl.tokenizers;
  requires static jinjava;
  requires static info.picocli;

  exports dev.remask;
  exports dev.remask.cuda;
  exports dev.remask.diffusion;
  exports dev.remask.kernel;
  exports dev.remask.model;
  exports dev.remask.text;

  opens dev.remask.cli to
      info.picocli;
}
