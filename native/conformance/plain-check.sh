#!/usr/bin/env bash
# The kernel that is proved is the kernel that ships: outside the PTX wrappers, kernels/ holds no
# inline assembly and asks nowhere who compiles it.
set -euo pipefail
kernels=$(cd "$(dirname "$0")/../../kernels" && pwd)
found=$(grep -nrE '\basm\b|__CUDACC__|__CUDA_ARCH|remask_emulator|REMASK_EMULATOR|__GNUC__' "$kernels" \
  --include='*.cu' --include='*.h' | grep -vE '/include/ptx(_sm90a)?\.h:' || true)
if [[ -n $found ]]; then
  echo "only kernels/include/ptx.h and ptx_sm90a.h may hold assembly or ask for the compiler:"
  echo "$found"
  exit 1
fi
