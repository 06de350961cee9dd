package dev.remask.cli;

/// The command line, a settings file or an input file is wrong; the message is for the user.
final class UsageException extends RuntimeException {
  private static final long serialVersionUID = 1;

  UsageException(String message) {
    super(message);
  }
}
