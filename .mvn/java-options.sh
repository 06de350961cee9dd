# shellcheck shell=sh
# Options of the JVM that runs the command line, for ./remask and for the cache of classes, which
# fits a JVM with the same ones only. POSIX sh; to be sourced.
#
# What starts fastest for a command that lives for seconds: the serial collector and the first
# compiler only (the work is done in native code). The JVM's warnings would land on standard output,
# among the answers; that a cache of classes does not fit is no error, it is then left out.
# A young generation of 8 MB keeps what a start leaves behind out of resident memory: by default it
# is a third of the first heap, and nothing is collected before that is full.
# shellcheck disable=SC2034 # used by those who source this
java_options="-XX:+UseSerialGC -Xmn8m -XX:TieredStopAtLevel=1 -Xlog:disable -Xlog:all=error,aot*=off,cds*=off:stderr
  --enable-native-access=ALL-UNNAMED"
