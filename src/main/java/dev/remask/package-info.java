/// The library as its users see it: load a model with [dev.remask.Remask], ask it with
/// [dev.remask.Model].
package dev.remask;
