/// What every layer may use and no caller of the library sees: the cache folder, files inside jars,
/// JSON without data binding, and events for JDK Flight Recorder.
///
/// Below every other package. The module `jdk.jfr` may be absent at run time, so only classes named
/// `…Event` extend its types, and nobody but [Flight] touches those, once a recorder runs.
package dev.remask.support;
