#include "gemm.h"

#include <cstdlib>
#include <exception>

#include "gemm_onednn.h"
#include "kernel_set.h"
#include "scratch.h"

namespace {

using remask::host::bf16;

thread_local remask::host::Scratch scratch;

void own_gemm(void* out, const void* a, const void* w, int m, int n, int k, GemmTypes types,
              bool accumulate, int threads) {
  const remask::host::KernelSet& kernels = remask::host::best_kernel_set();
  float* packed = static_cast<float*>(scratch.get(remask::host::gemm_scratch_bytes(m, k)));
  switch (types) {
    case GemmTypes::BF16_BF16:
      kernels.gemm_bf16_bf16(threads, static_cast<bf16*>(out), static_cast<const bf16*>(a),
                             static_cast<const bf16*>(w), m, n, k, accumulate, packed);
      break;
    case GemmTypes::BF16_F32:
      kernels.gemm_bf16_f32(threads, static_cast<float*>(out), static_cast<const bf16*>(a),
                            static_cast<const bf16*>(w), m, n, k, accumulate, packed);
      break;
    case GemmTypes::F32_F32:
      kernels.gemm_f32_f32(threads, static_cast<float*>(out), static_cast<const float*>(a),
                           static_cast<const float*>(w), m, n, k, accumulate, packed);
      break;
  }
}

}  // namespace

bool remask_gemm_prefers_onednn(GemmTypes types) {
  enum class Choice { kAuto, kOwn, kOneDnn };
  static const Choice choice = [] {
    const char* text = std::getenv("REMASK_HOST_GEMM");
    const std::string value = text == nullptr ? "" : text;
    return value == "own" ? Choice::kOwn : value == "onednn" ? Choice::kOneDnn : Choice::kAuto;
  }();
  if (choice != Choice::kAuto) return choice == Choice::kOneDnn;
  static const bool has_tiles = remask::host::onednn_has_tiles();
  return has_tiles && types != GemmTypes::F32_F32;
}

bool remask_gemm(void* out, const void* a, const void* w, int m, int n, int k, GemmTypes types,
                 bool accumulate, int threads, std::string* why) {
  if (m < 1 || n < 1 || k < 1) {
    if (why != nullptr) {
      *why = "a matrix multiplication needs m, n, k of at least 1, not " + std::to_string(m) +
             ", " + std::to_string(n) + ", " + std::to_string(k);
    }
    return false;
  }
  if (threads < 1) threads = 1;
  try {
    if (remask_gemm_prefers_onednn(types) &&
        remask::host::onednn_gemm(out, a, w, m, n, k, types, accumulate, threads)) {
      return true;
    }
    own_gemm(out, a, w, m, n, k, types, accumulate, threads);
    return true;
  } catch (const std::exception& failure) {
    if (why != nullptr) {
      *why = "matrix multiplication " + std::to_string(m) + " x " + std::to_string(n) + " x " +
             std::to_string(k) + ": " + failure.what();
    }
    return false;
  }
}

void* remask_gemm_scratch(std::size_t bytes) { return scratch.get(bytes); }

void remask_gemm_release() {
  scratch.release();
  remask::host::onednn_release();
}

std::string remask_gemm_name() {
  if (remask_gemm_prefers_onednn(GemmTypes::BF16_BF16)) {
    return "oneDNN " + remask::host::onednn_version();
  }
  return std::string("own (") + remask::host::best_kernel_set().name + ")";
}
