#!/bin/sh
# Compiles this sample against the built jar and runs it, on the class path and on the module path:
# run.sh TARGET JAVA_HOME [DEVICE]. `./mvnw verify` does so with target/ and the software device.
set -eu
target=$(cd "$1" && pwd -P)
java_home=$2
device=${3:-software}
sample=$(cd "$(dirname "$0")" && pwd -P)
work=$target/sample
export GOMP_SPINCOUNT=1000 REMASK_CACHE="$target/cache"

jar=
for candidate in "$target"/remask-*.jar; do
  case $candidate in *-sources.jar | *-javadoc.jar | *-tests.jar) ;; *) jar=$candidate ;; esac
done
if [ ! -f "$jar" ]; then
  echo "run.sh: $target holds no remask-*.jar; run ./mvnw package first" >&2
  exit 1
fi

# Of what Remask can use, what a program needs that passes token ids: JSON, and oneDNN for the
# software device. The latter are natives, so they stand on the class path either way.
json=
natives=
for library in $(tr ':' ' ' <"$target/remask.classpath"); do
  case $library in
    */jackson-*) json=$json:$library ;;
    */dnnl-* | */opencl-*) natives=$natives:$library ;;
  esac
done
json=${json#:}
natives=${natives#:}

rm -rf "$work"
mkdir -p "$work"
source=$sample/src/com/example/embed/Embed.java

echo "sample: on the class path"
"$java_home/bin/javac" -Xlint:all -Werror -proc:none -cp "$jar" -d "$work/classes" "$source"
"$java_home/bin/java" --enable-native-access=ALL-UNNAMED --illegal-native-access=deny \
  -cp "$work/classes:$jar:$json:$natives" com.example.embed.Embed "$device" >"$work/classpath.txt"
diff "$sample/expected.txt" "$work/classpath.txt"

echo "sample: on the module path"
"$java_home/bin/javac" -Xlint:all -Werror -proc:none -p "$jar:$json" -d "$work/modules" \
  "$sample/src/module-info.java" "$source"
"$java_home/bin/java" --enable-native-access=dev.remask --illegal-native-access=deny \
  -p "$work/modules:$jar:$json" -cp "$natives" -m com.example.embed/com.example.embed.Embed \
  "$device" >"$work/modulepath.txt"
diff "$sample/expected.txt" "$work/modulepath.txt"

echo "sample: on the module path, with a flight recording"
"$java_home/bin/java" --enable-native-access=dev.remask --illegal-native-access=deny \
  "-XX:StartFlightRecording:filename=$work/flight.jfr,+dev.remask.Step#enabled=true" \
  -Xlog:disable -p "$work/modules:$jar:$json" -cp "$natives" \
  -m com.example.embed/com.example.embed.Embed "$device" >"$work/recorded.txt"
diff "$sample/expected.txt" "$work/recorded.txt"
"$java_home/bin/jfr" summary "$work/flight.jfr" >"$work/flight.txt"
for event in Load:2 Request:2 Score:2; do
  if ! grep -Eq "^ *dev.remask.${event%:*} +${event#*:} " "$work/flight.txt"; then
    echo "run.sh: the recording does not have ${event#*:} events dev.remask.${event%:*}" >&2
    grep dev.remask "$work/flight.txt" >&2
    exit 1
  fi
done
