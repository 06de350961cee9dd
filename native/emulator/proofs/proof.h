// The frame of a proof: a program that draws random shapes and data, launches emulated kernels and
// compares what they wrote with a reference in double.
//
//   int main(int argc, char** argv) {
//     remask::proof::Proof proof(argc, argv, 200);
//     return proof.run([](remask::proof::Case& it) {
//       const int rows = it.size(300, {1, 64});         // odd sizes, and those around a tile of 64
//       auto x = it.normal<bf16>(rows * 128);
//       auto out = it.output<float>(rows);              // poisoned, canaries around it
//       it.shape("rows=%d", rows);                      // for the reports
//       if (!it.wants("sum_sm80")) return;
//       it.launch("sum_sm80", {rows}, {128}, 0, out.data(), x.data(), rows);
//       it.expect_close("sum_sm80", out, reference, bound);
//     });
//   }
//
// Options: --seed S (of the first case; case i has seed S + i, so `--seed S+i --shapes 1` repeats
// it), --shapes N, --kernel SUBSTRING, --threads T. Exit status: 0 proved, 1 wrong results, 2 the
// emulator reported a broken rule, 3 nothing was launched.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "kernel_table.h"

namespace remask::proof {

struct bf16 {
  std::uint16_t bits;

  bf16() = default;
  bf16(float x) : bits(round(x)) {}
  operator float() const {
    const std::uint32_t word = std::uint32_t(bits) << 16;
    float x;
    std::memcpy(&x, &word, sizeof(x));
    return x;
  }

 private:
  static std::uint16_t round(float x) {
    std::uint32_t word;
    std::memcpy(&word, &x, sizeof(word));
    if ((word & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return std::uint16_t((word + 0x7fff + (word >> 16 & 1)) >> 16);
  }
};

// Memory that kernels reach: canaries on both sides, known to the emulator as alive.
class Memory {
 public:
  explicit Memory(std::size_t bytes);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  char* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  // Offset of the first byte outside that was overwritten, negative before the begin; 0: none.
  long broken_canary() const;

 private:
  std::unique_ptr<char[]> all_;
  char* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// An array in such memory, shared by its copies.
template <class T>
class Array {
 public:
  explicit Array(std::size_t size)
      : memory_(std::make_shared<Memory>(size * sizeof(T))), size_(size) {}

  T* data() const { return reinterpret_cast<T*>(memory_->data()); }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) const { return data()[i]; }
  T* begin() const { return data(); }
  T* end() const { return data() + size_; }
  const std::shared_ptr<Memory>& memory() const { return memory_; }

 private:
  std::shared_ptr<Memory> memory_;
  std::size_t size_;
};

struct Dim3 {
  unsigned x, y = 1, z = 1;
  template <class X, class Y = unsigned, class Z = unsigned>
  Dim3(X x, Y y = 1, Z z = 1) : x(unsigned(x)), y(unsigned(y)), z(unsigned(z)) {}
};

// The norm of x - reference relative to that of reference.
double relative_error(const std::vector<double>& x, const std::vector<double>& reference);
template <class T>
std::vector<double> as_doubles(const Array<T>& x) {
  std::vector<double> doubles(x.size());
  for (std::size_t i = 0; i < x.size(); i++) doubles[i] = double(x[i]);
  return doubles;
}

struct Options {
  std::uint64_t seed = 1;
  int shapes = 200;
  std::string kernel;
  int threads = 2;
};

// What a launch did to conditions of a graph.
struct ConditionsSet {
  int times;
  unsigned long long handle;  // of the last time, and its value
  unsigned value;
};

// One shape with its data.
class Case {
 public:
  Case(const Options& options, std::uint64_t seed) : options_(options), seed_(seed) {
    for (int i = 0; i < 4; i++) next();
  }

  std::uint64_t seed() const { return seed_; }
  // By the last launch, for which every handle was that of a graph that runs.
  ConditionsSet conditions() const;

  // --- draws ---
  std::uint32_t next();
  // Uniform in [low, high].
  int uniform(int low, int high) { return low + int(next() % unsigned(high - low + 1)); }
  double uniform_real() { return next() * 0x1p-32; }
  double normal_real();
  bool chance(double probability) { return uniform_real() < probability; }
  // 1 to most; often 1, a tile, a multiple of it, or one off.
  int size(int most, std::initializer_list<int> tiles = {});
  template <class T>
  T any_of(std::initializer_list<T> values) {
    return values.begin()[next() % values.size()];
  }

  // --- memory, kept and checked until the case ends ---
  template <class T>
  Array<T> zeros(std::size_t size) {
    return filled<T>(size, [] { return T(0); });
  }
  template <class T>
  Array<T> normal(std::size_t size, double deviation = 1) {
    return filled<T>(size, [&] { return T(float(normal_real() * deviation)); });
  }
  template <class T>
  Array<T> copy(const std::vector<T>& values) {
    Array<T> array(values.size());
    std::copy(values.begin(), values.end(), array.begin());
    keep(array.memory());
    return array;
  }
  // All bytes 0xff: NaN as bf16 and f32, -1 as an integer.
  template <class T>
  Array<T> output(std::size_t size) {
    Array<T> array(size);
    std::memset(static_cast<void*>(array.data()), 0xff, size * sizeof(T));
    keep(array.memory());
    return array;
  }
  template <class T, class Fill>
  Array<T> filled(std::size_t size, Fill fill) {
    Array<T> array(size);
    for (T& x : array) x = fill();
    keep(array.memory());
    return array;
  }

  // --- what the proof does ---
  // What this case is, for reports. Printed in the style of printf.
  void shape(const char* format, ...) __attribute__((format(printf, 2, 3)));
  // Whether --kernel selects this one.
  bool wants(const char* kernel) const;
  // Ends the case with a report if the emulator returns an error.
  template <class... Arguments>
  void launch(const char* kernel, Dim3 grid, Dim3 block, unsigned shared_bytes,
              Arguments... arguments) {
    const RemaskKernel& entry = find(kernel, sizeof...(arguments));
    std::vector<char> buffer(entry.buffer_bytes + 1);
    unsigned i = 0;
    (void)i;
    (put(entry, buffer, i++, &arguments, sizeof(arguments)), ...);
    run(entry, grid, block, shared_bytes, buffer.data());
  }
  template <class T>
  void expect_close(const char* kernel, const Array<T>& x, const std::vector<double>& reference,
                    double bound) {
    expect_close(kernel, as_doubles(x), reference, bound);
  }
  void expect_close(const char* kernel, const std::vector<double>& x,
                    const std::vector<double>& reference, double bound);
  // Bit for bit.
  template <class T>
  void expect_same(const char* kernel, const Array<T>& x, const Array<T>& reference) {
    for (std::size_t i = 0; i < x.size(); i++) {
      if (std::memcmp(&x[i], &reference[i], sizeof(T)) != 0) {
        return wrong(kernel, "element %zu is %.9g, not bit for bit %.9g", i, double(x[i]),
                     double(reference[i]));
      }
    }
  }
  void expect(bool condition, const char* kernel, const char* what) {
    if (!condition) wrong(kernel, "%s", what);
  }
  // From here on launches count bank conflicts in shared memory, by several times slower...
  void count_banks() { counts_banks_ = true; }
  // ... of which the last launch had so many.
  const RemaskBanks& banks() const { return banks_; }
  void expect_no_bank_conflicts(const char* kernel) {
    if (banks_.conflicts > 0) {
      wrong(kernel, "%llu bank conflicts in %llu accesses, most at %s", banks_.conflicts,
            banks_.accesses, banks_.worst);
    }
  }
  // Prints a failure of this case.
  void wrong(const char* kernel, const char* format, ...) __attribute__((format(printf, 3, 4)));

 private:
  friend class Proof;
  struct Reported {};

  void keep(const std::shared_ptr<Memory>& memory) { memory_.push_back(memory); }
  void check_canaries();
  static const RemaskKernel& find(const char* kernel, std::size_t arguments);
  static void put(const RemaskKernel& kernel, std::vector<char>& buffer, unsigned i,
                  const void* value, std::size_t bytes);
  void run(const RemaskKernel& kernel, Dim3 grid, Dim3 block, unsigned shared_bytes,
           const void* arguments);

  const Options& options_;
  const std::uint64_t seed_;
  std::uint64_t state_ = 0;
  std::string shape_;
  std::string last_kernel_ = "no kernel";
  std::vector<std::shared_ptr<Memory>> memory_;
  unsigned launches_ = 0;
  int failures_ = 0;
  bool reported_ = false;
  bool counts_banks_ = false;
  RemaskBanks banks_{};
};

class Proof {
 public:
  // Reads the options; ends the process on one that it does not know.
  Proof(int argc, char** argv, int default_shapes = 200);
  // Draws and checks every case. Returns the exit status.
  int run(const std::function<void(Case&)>& body);

 private:
  Options options_;
  std::string program_;
};

}  // namespace remask::proof
