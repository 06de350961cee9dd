package dev.remask.cli;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/// The program `remask`. The one place that ends the process.
public final class Main {
  /// How long Ctrl-C waits for the step in progress before the process ends anyway.
  private static final long SECONDS_TO_STOP = 3;

  private Main() {}

  /// Runs one command and exits with its status: 0 done, 1 some line of a batch failed, 2 usage or
  /// a bad request, 3 device or model error.
  public static void main(String[] arguments) {
    var surroundings = Surroundings.ofProcess();
    if (!surroundings.debug()) {
      silenceLibraries();
    }
    int status = run(surroundings, arguments);
    System.exit(status);
  }

  /// Runs one command and returns its status; Ctrl-C ends it.
  static int run(Surroundings surroundings, String... arguments) {
    var interruption = new Interruption(Thread.currentThread());
    var ended = new CountDownLatch(1);
    Runtime.getRuntime()
        .addShutdownHook(new Thread(() -> stop(interruption, ended), "remask-shutdown"));
    int status = new Cli(surroundings, interruption).run(arguments);
    surroundings.out().flush();
    surroundings.err().flush();
    ended.countDown();
    return status;
  }

  /// The tokenizer and the template engine log through SLF4J, what they unpack for example; a
  /// command's standard error is for its user. Also saves the start of a logging system.
  static void silenceLibraries() {
    System.setProperty("slf4j.provider", "org.slf4j.helpers.NOP_FallbackServiceProvider");
    System.setProperty("slf4j.internal.verbosity", "ERROR");
  }

  /// On Ctrl-C the device gets the time to finish its step, so that nothing native is running when
  /// the process unloads its libraries.
  private static void stop(Interruption interruption, CountDownLatch ended) {
    if (ended.getCount() == 0 || !interruption.request()) {
      return;
    }
    try {
      if (!ended.await(SECONDS_TO_STOP, TimeUnit.SECONDS)) {
        Runtime.getRuntime().halt(ExitStatus.INTERRUPTED);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
