#include "host_testing.h"

#include <cstdlib>

namespace remask::host::testing {
namespace {
int failure_count = 0;
}

float to_float(bf16 value) {
  const std::uint32_t bits = static_cast<std::uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

void from_float(float value, bf16* to) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  to->bits = static_cast<std::uint16_t>(
      std::isnan(value) ? bits >> 16 | 0x40u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* text = std::getenv("REMASK_TEST_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 0) : 20261123ull;
  }();
  return value;
}

std::mt19937_64& random_engine() {
  static std::mt19937_64 engine(seed());
  return engine;
}

int failures() { return failure_count; }

void report_failure(const std::string& what) {
  constexpr int kMostPrinted = 20;
  if (++failure_count <= kMostPrinted) {
    std::printf("FAILED %s (REMASK_TEST_SEED=%llu)\n", what.c_str(),
                static_cast<unsigned long long>(seed()));
  }
}

int finish() {
  std::printf("%s: %d failures\n", failure_count == 0 ? "passed" : "FAILED", failure_count);
  return failure_count == 0 ? 0 : 1;
}

Comparison::~Comparison() {
  if (worst_ <= 1) return;
  char text[256];
  std::snprintf(text, sizeof(text), "%s[%zu] = %.9g, expected %.9g +- %.3g", what_.c_str(),
                worst_index_, worst_actual_, worst_expected_, worst_allowed_);
  report_failure(text);
}

void Comparison::add(std::size_t index, double actual, double expected, double allowed) {
  if (actual == expected) return;  // infinities too
  double relative = std::fabs(actual - expected) / allowed;
  if (std::isnan(relative)) relative = HUGE_VAL;
  if (relative <= worst_) return;
  worst_ = relative;
  worst_index_ = index;
  worst_actual_ = actual;
  worst_expected_ = expected;
  worst_allowed_ = allowed;
}

RemaskLaunch launch(int threads, unsigned grid_x, unsigned grid_y, unsigned grid_z) {
  RemaskLaunch result = {};
  result.grid = {grid_x, grid_y, grid_z};
  result.block = {1, 1, 1};
  result.threads = threads;
  return result;
}

std::vector<const KernelSet*> kernel_sets() {
  int count = 0;
  const KernelSet* const* sets = runnable_kernel_sets(&count);
  return std::vector<const KernelSet*>(sets, sets + count);
}

}  // namespace remask::host::testing
