# shellcheck shell=sh
# Sourced by the commands of this folder: builds the benchmarks, as ./remask builds, where no build is
# newer than the sources; then run_java runs one of their classes, in the caller's folder.
jmh_root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=../.mvn/find-jdk.sh
. "$jmh_root/.mvn/find-jdk.sh"
# As ./remask runs it.
: "${GOMP_SPINCOUNT:=1000}"
export GOMP_SPINCOUNT
# REMASK_JMH_BUILD=0 takes what is built, as when a script has just built it.
if [ "${REMASK_JMH_BUILD:-1}" != 0 ]; then
  (cd "$jmh_root" &&
    ./mvnw -q -B -ntp -Pjmh,quick -Dmaven.test.skip=false -DskipTests test-compile) >&2
fi

run_java() {
  exec "$JAVA_HOME/bin/java" --enable-native-access=ALL-UNNAMED -XX:+UseSerialGC \
    "-Dremask.jmh.root=$jmh_root" \
    -cp "$jmh_root/target/test-classes:$jmh_root/target/classes:$(cat "$jmh_root/target/jmh.classpath")" \
    "$@"
}
