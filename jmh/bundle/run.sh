#!/bin/sh
# Remask on this machine's NVIDIA GPU: calibration, tests and benchmarks, and one report of them.
# Needs Linux on x86-64 and an NVIDIA driver, nothing else.
#
#   run.sh                     everything: calibrate, test, bench
#   run.sh calibrate [FILTER]  layouts of tensor-core, shared-memory and TMA instructions, bit for
#                              bit against those that the emulator proves kernels with
#   run.sh test [FILTER]       every test that needs a GPU
#   run.sh bench [FILTER]      every kernel against its floor and, where there is one, PyTorch
#   run.sh report              writes the report anew
#
# FILTER takes the tasks whose name contains it. A task that has ended is not run again unless
# --again is given. A part ends within eight minutes; with status 75 there is more to do, and the
# same command goes on. Status 0: all passed (or no GPU), 1: something failed, 2: usage.
#
#   REMASK_RESULTS      the folder of results (default: results, beside this file)
#   REMASK_BUNDLE_DEVICE the device: cuda (default), cuda:1, …
#   REMASK_PYTHON       the Python whose PyTorch is timed beside (default: python3)
set -eu

case $(uname -s -m) in
  "Linux x86_64") ;;
  *)
    echo "run.sh: runs on Linux on x86-64 only; this is $(uname -s -m)" >&2
    exit 3
    ;;
esac
case ${1:-} in
  -h | --help | help)
    sed -n '2,/^set -eu/p' "$0" | sed -n 's/^# \{0,1\}//p'
    exit 0
    ;;
esac

root=$(cd "$(dirname "$0")" && pwd -P)
results=${REMASK_RESULTS:-$root/results}
mkdir -p "$results"
commit=unknown
[ ! -f "$root/commit" ] || commit=$(cat "$root/commit")

# Java reads arguments and prints in the encoding of the locale.
LC_ALL=C.UTF-8
export LC_ALL
: "${REMASK_CACHE:=$root/cache}"
export REMASK_CACHE

begin=0
java() {
  "$root/runtime/bin/java" -Xmx8g --enable-native-access=ALL-UNNAMED -Xlog:disable \
    "-Dremask.bundle.root=$root" "-Dremask.bundle.results=$results" \
    "-Dremask.bundle.commit=$commit" "-Dremask.bundle.device=${REMASK_BUNDLE_DEVICE:-cuda}" \
    "-Dremask.bundle.begin=$begin" -cp "$root/classes:$root/lib/*" dev.remask.bundle.Bundle "$@"
}

# One part: a process whose GPU context broke is followed by another (76), which goes on.
run_part() {
  begin=$(date +%s)
  filter=${2:-}
  [ "$filter" != --again ] || filter=${3:-}
  status=0
  java "$@" || status=$?
  while [ "$status" = 76 ]; do
    status=0
    java "$1" "$filter" || status=$?
  done
}

if [ "${1:-all}" != all ]; then
  run_part "$@"
  exit "$status"
fi
begin=$(date +%s)
status=0
java "$@" || status=$?
[ "$status" = 77 ] || exit "$status"
[ $# -eq 0 ] || shift
worst=0
for part in calibrate test bench; do
  run_part "$part" "$@"
  while [ "$status" = 75 ]; do
    run_part "$part" "$filter"
  done
  [ "$status" -le "$worst" ] || worst=$status
done
exit "$worst"
