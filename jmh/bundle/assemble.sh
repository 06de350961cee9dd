#!/bin/sh
# Packs target/gpu-bundle.tgz: assemble.sh TARGET JAVA_HOME, run by `./mvnw -Pgpu-bundle package`.
#
# TARGET/gpu-bundle/lib already holds the libraries; the rest comes from the build: jar, test classes
# with the benchmarks, images of the probes.
set -eu
target=$1
java_home=$2
root=$(cd "$(dirname "$0")/../.." && pwd -P)
bundle=$target/gpu-bundle

# What the tests, JUnit and JMH ask of the JDK.
modules=java.base,java.compiler,java.logging,java.management,java.xml,jdk.management
modules=$modules,jdk.unsupported
# Not compressed by jlink: all at once gzip packs the classes a third smaller.
rm -rf "$bundle/runtime" "$bundle/classes" "$bundle/baselines" "$bundle/expected"
"$java_home/bin/jlink" --add-modules "$modules" --strip-debug --no-header-files --no-man-pages \
  --compress zip-0 --output "$bundle/runtime"

# The tests as a folder: some read their files by path. What only reads the project's own text
# (ArchUnit) stays out.
mkdir -p "$bundle/classes"
cp -R "$target/test-classes/." "$bundle/classes"
rm -f "$bundle/classes/dev/remask/ArchitectureTest"*.class

rm -f "$bundle/lib"/remask-*.jar
for jar in "$target"/remask-*.jar; do
  case $jar in *-sources.jar | *-javadoc.jar | *-tests.jar) continue ;; esac
  cp "$jar" "$bundle/lib/"
done

# The benchmarks are among the test classes, with the list without which nothing runs.
test -s "$bundle/classes/META-INF/BenchmarkList"

cp -R "$root/jmh/baselines" "$bundle/baselines"
cp "$root/jmh/bundle/run.sh" "$root/LICENSE" "$bundle/"
git -C "$root" describe --always --dirty --abbrev=12 >"$bundle/commit" 2>/dev/null ||
  echo unknown >"$bundle/commit"

# The probes' images, and what the emulator says that they must find.
probes=$bundle/classes/dev/remask/kernels
mkdir -p "$probes"
cp "$target/native/probes/"*.fatbin "$probes/"
REMASK_NATIVE=$target/native/lib REMASK_EMULATOR_ADVERSARY=off "$java_home/bin/java" \
  --enable-native-access=ALL-UNNAMED -cp "$bundle/classes:$bundle/lib/*" \
  dev.remask.bundle.Calibration "$bundle/expected"

tar -C "$target" -cf - --exclude=gpu-bundle/results --exclude=gpu-bundle/cache gpu-bundle |
  gzip -9 >"$target/gpu-bundle.tgz.part"
mv "$target/gpu-bundle.tgz.part" "$target/gpu-bundle.tgz"
bytes=$(wc -c <"$target/gpu-bundle.tgz")
echo "$target/gpu-bundle.tgz: $((bytes / 1000000)) MB"
if [ "$bytes" -gt 50000000 ]; then
  echo "assemble.sh: over 50 MB: something that is not needed on a card got in" >&2
  exit 1
fi
