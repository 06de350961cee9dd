// What the host kernels' tests share: seeded data, poisoned buffers, tolerances, failure reports.
#ifndef REMASK_HOST_TESTING_H_
#define REMASK_HOST_TESTING_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernel_set.h"

namespace remask::host::testing {

// Unit roundoffs: the largest relative error of one rounding.
constexpr double kF32Roundoff = 0x1p-24;
template <typename X>
constexpr double kRoundoff = sizeof(X) == 2 ? 0x1p-8 : kF32Roundoff;
// Largest relative error of the kernels' exp (2 ulp).
constexpr double kExpError = 4 * kF32Roundoff;
// Where results are subnormal their error is absolute.
template <typename X>
constexpr double kTiny = sizeof(X) == 2 ? 0x1p-134 : 0x1p-149;

float to_float(bf16 value);
inline float to_float(float value) { return value; }
void from_float(float value, bf16* to);  // to nearest even
inline void from_float(float value, float* to) { *to = value; }

// The seed of this run: REMASK_TEST_SEED or a fixed one; printed with every failure.
std::uint64_t seed();
std::mt19937_64& random_engine();
int failures();
void report_failure(const std::string& what);
// For main: prints the outcome and gives the exit status.
int finish();

#define EXPECT_THAT(condition, what)                                                  \
  do {                                                                                \
    if (!(condition)) {                                                               \
      ::remask::host::testing::report_failure(std::string(#condition) + ": " + what); \
    }                                                                                 \
  } while (false)

// `count` elements with a guard behind them; all bytes 0xff (NaN in bf16 and f32, -1 in int).
template <typename T>
class Poisoned {
 public:
  explicit Poisoned(std::size_t count) : count_(count), bytes_(count * sizeof(T) + kGuard, 0xff) {}
  ~Poisoned() {
    for (std::size_t i = count_ * sizeof(T); i < bytes_.size(); ++i) {
      if (bytes_[i] != 0xff) {
        report_failure("a kernel wrote past the end of its output");
        break;
      }
    }
  }
  Poisoned(const Poisoned&) = delete;
  T* data() { return reinterpret_cast<T*>(bytes_.data()); }
  const T* data() const { return reinterpret_cast<const T*>(bytes_.data()); }
  T& operator[](std::size_t i) { return data()[i]; }
  const T& operator[](std::size_t i) const { return data()[i]; }
  std::size_t size() const { return count_; }
  std::vector<unsigned char> copy() const {
    return std::vector<unsigned char>(bytes_.begin(), bytes_.begin() + count_ * sizeof(T));
  }

 private:
  static constexpr std::size_t kGuard = 64;
  std::size_t count_;
  std::vector<unsigned char> bytes_;
};

// A copy of `values` that ends where memory does: a kernel that reads past it is killed.
template <typename T>
class Walled {
 public:
  explicit Walled(const std::vector<T>& values) {
    const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = values.size() * sizeof(T), whole = (bytes + page - 1) / page * page;
    mapped_ = whole + page;
    memory_ = static_cast<char*>(
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory_ == MAP_FAILED || mprotect(memory_ + whole, page, PROT_NONE) != 0) std::abort();
    data_ = reinterpret_cast<T*>(memory_ + whole - bytes);
    std::memcpy(data_, values.data(), bytes);
  }
  ~Walled() { munmap(memory_, mapped_); }
  Walled(const Walled&) = delete;
  const T* data() const { return data_; }

 private:
  char* memory_;
  std::size_t mapped_;
  T* data_;
};

// Normally distributed values, rounded to X.
template <typename X>
std::vector<X> random_values(std::size_t count, float deviation = 1.0f) {
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<X> values(count);
  for (X& value : values) from_float(normal(random_engine()), &value);
  return values;
}

// |actual - expected| <= allowed, NaN never; reports the worst element of an array.
class Comparison {
 public:
  explicit Comparison(std::string what) : what_(std::move(what)) {}
  ~Comparison();
  void add(std::size_t index, double actual, double expected, double allowed);

 private:
  std::string what_;
  std::size_t worst_index_ = 0;
  double worst_ = 0, worst_actual_ = 0, worst_expected_ = 0, worst_allowed_ = 0;
};

RemaskLaunch launch(int threads, unsigned grid_x = 1, unsigned grid_y = 1, unsigned grid_z = 1);
std::vector<const KernelSet*> kernel_sets();

}  // namespace remask::host::testing

#endif  // REMASK_HOST_TESTING_H_
