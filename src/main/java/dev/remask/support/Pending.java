package dev.remask.support;

/// An event that has begun. Hides its type, so that callers need no `jdk.jfr`.
public final class Pending {
  final Object event;

  Pending(Object event) {
    this.event = event;
  }
}
