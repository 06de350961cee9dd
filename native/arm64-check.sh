#!/bin/sh
# Compiles the host kernels and the device for 64-bit Arm, which no machine of ours runs: x86
# instructions must stay behind their guards. The kernels with code, the rest as far as errors go.
# Where there is no cross compiler the check is skipped (exit 77) and says so.
# REMASK_ARM64_CXX names one; Debian, Ubuntu: apt install g++-aarch64-linux-gnu
set -eu
cd "$(dirname "$0")"
compiler=${REMASK_ARM64_CXX:-aarch64-linux-gnu-g++}
if ! command -v "$compiler" >/dev/null 2>&1; then
  echo "arm64 check not run: $compiler was not found"
  exit 77
fi
set -- -std=c++17 -fPIC -fopenmp -Wall -Wextra -Werror -Wno-psabi -I. -Idriver -Ihost \
  -I../kernels/include
failed=0
for source in host/*.cpp driver/*.cpp; do
  case $source in
    host/simd_*baseline.cpp)
      "$compiler" "$@" -O1 -ffp-contract=fast -fno-math-errno -fno-trapping-math -c "$source" \
        -o /dev/null || failed=1
      ;;
    host/simd_*) ;; # x86-64's
    *) "$compiler" "$@" -fsyntax-only "$source" || failed=1 ;;
  esac
done
exit $failed
