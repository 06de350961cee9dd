#!/bin/sh
# Runs ./remask as the build has left it, with the cache of classes and without, and with caches and
# JVMs that do not fit one another: start-test.sh TARGET JAVA_HOME, the last step of
# `./mvnw verify`. The answer is the same each time and nothing else is said.
set -eu
target=$(cd "$1" && pwd -P)
java_home=$2
root=$(cd "$(dirname "$0")/../../.." && pwd -P)
work=$target/start-test
export REMASK_JAVA_HOME="$java_home" REMASK_CACHE="$target/cache" REMASK_DEVICE=software
unset REMASK_AOT REMASK_JAVA_OPTIONS REMASK_MODEL || :

# A project that is built already, so that ./remask does not build: older sources, then the jar.
rm -rf "$work"
mkdir -p "$work/src/main" "$work/native" "$work/kernels" "$work/.mvn" "$work/target"
cp "$root/remask" "$work/"
cp "$root/.mvn/find-jdk.sh" "$root/.mvn/java-options.sh" "$work/.mvn/"
: >"$work/pom.xml"
for file in "$target"/remask-*.jar "$target/remask.classpath"; do
  case $file in *-sources.jar | *-javadoc.jar | *-tests.jar) continue ;; esac
  ln -s "$file" "$work/target/"
done
cp -R "$target/start" "$work/target/start"
echo images=0 >"$work/target/remask.built"

failed=0
# case NAME CACHE: whether the JVM has the cache is asked of the classes that it maps.
check() {
  name=$1
  wanted=$2
  shift 2
  log=$work/classes.log
  rm -f "$log"
  found=$(env "$@" REMASK_JAVA_OPTIONS="${options:-} -Xlog:class+load:file=$log" \
    "$work/remask" generate "What is 47 + 38?" --gen-length 16 2>&1) || :
  if grep -q "dev.remask.cli.Main source: shared objects file" "$log"; then cache=yes; else cache=no; fi
  if [ "$found" = "47 + 38 = 85" ] && [ "$cache" = "$wanted" ]; then
    echo "start: $name: cache used: $cache"
  else
    echo "start: $name: cache used: $cache, wanted: $wanted; it said: $found" >&2
    failed=1
  fi
}

aot=$work/target/start/remask.aot
check "as built" yes
check "switched off" no REMASK_AOT=0
options="-XX:-UseSerialGC -XX:+UseParallelGC"
check "with another collector" yes
options="-XX:StartFlightRecording:filename=$work/flight.jfr"
check "with a flight recording" no
options=
cp "$aot" "$work/whole.aot"
head -c 1000000 "$work/whole.aot" >"$aot"
check "with a torn cache" no
echo "no cache" >"$aot"
check "with another file in its place" no
rm "$aot"
check "with none" no
cp "$work/whole.aot" "$aot"
cp "$work/target/start/classpath" "$work/classpath"
sed "s|^[^:]*|$work/moved.jar|" "$work/classpath" >"$work/target/start/classpath"
check "in a folder that was moved" no
for copied in "$work"/target/remask-*.jar; do cp "$copied" "$work/moved.jar"; done
check "in a copy of the folder" no
cp "$work/classpath" "$work/target/start/classpath"
echo 'JAVA_VERSION="25"' >"$work/target/start/release"
check "made by another JDK" no
rm -rf "$work"
exit "$failed"
