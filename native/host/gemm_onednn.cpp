#include "gemm_onednn.h"

#ifdef REMASK_HAVE_DNNL

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>

#include "parallel.h"
#include "scratch.h"

namespace remask::host {
namespace {

// oneDNN lays out its work, and with it the order of sums, for the number of threads it finds and
// for the sizes it is given. So the output is cut into tiles of fixed size here, and each is one
// single-threaded product by the same primitive, whose rows lie one behind the other: a row's
// result depends neither on the number of threads nor on that of rows, wherever it stands.
constexpr int kTileRows = 64;  // the last tile is padded with zeros
// The last columns of a weight take the rest, up to twice this: too few are no work for a tile.
constexpr int kTileColumns = 128;

// One tile's product.
struct Shape {
  int columns, k;
  GemmTypes types;
  bool accumulate;

  bool operator==(const Shape& other) const {
    return columns == other.columns && k == other.k && types == other.types &&
           accumulate == other.accumulate;
  }
};

const dnnl::engine& cpu_engine() {
  // Never destroyed: stream workers may multiply until the process has ended.
  static const dnnl::engine& engine = *new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// A primitive and the memory objects that its arguments are put into, made once per shape.
class Matmul {
 public:
  explicit Matmul(const Shape& shape) : shape_(shape) {
    using dnnl::memory;
    const bool narrow = shape.types != GemmTypes::F32_F32;
    const auto in = narrow ? memory::data_type::bf16 : memory::data_type::f32;
    const auto out =
        shape.types == GemmTypes::BF16_BF16 ? memory::data_type::bf16 : memory::data_type::f32;
    const memory::desc a({kTileRows, shape.k}, in, memory::format_tag::ab);
    const memory::desc w({shape.k, shape.columns}, in, memory::format_tag::ba);
    const memory::desc c({kTileRows, shape.columns}, out, memory::format_tag::ab);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);  // whatever the environment says
    if (shape.accumulate) {
      dnnl::post_ops sum;
      sum.append_sum();
      attributes.set_post_ops(sum);
    }
    const dnnl::matmul::primitive_desc description(cpu_engine(), a, w, c, attributes,
                                                   /*allow_empty=*/true);
    if (!description) return;  // not implemented on this processor
    primitive_ = dnnl::matmul(description);
    a_ = memory(a, cpu_engine(), nullptr);
    w_ = memory(w, cpu_engine(), nullptr);
    out_ = memory(c, cpu_engine(), nullptr);
    scratch_ = memory(description.scratchpad_desc(), cpu_engine(), nullptr);
    scratch_bytes_ = description.scratchpad_desc().get_size();
  }

  const Shape& shape() const { return shape_; }
  bool supported() const { return static_cast<bool>(primitive_); }
  std::size_t scratch_bytes() const { return scratch_bytes_; }

  void run(const dnnl::stream& stream, void* out, const void* a, const void* w, void* scratch) {
    a_.set_data_handle(const_cast<void*>(a));
    w_.set_data_handle(const_cast<void*>(w));
    out_.set_data_handle(out);
    scratch_.set_data_handle(scratch);
    // The C call: dnnl.hpp's takes a map and copies it into a vector, both allocated per call.
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, a_.get()},
                                         {DNNL_ARG_WEIGHTS, w_.get()},
                                         {DNNL_ARG_DST, out_.get()},
                                         {DNNL_ARG_SCRATCHPAD, scratch_.get()}};
    dnnl::error::wrap_c_api(
        dnnl_primitive_execute(primitive_.get(), stream.get(),
                               sizeof(arguments) / sizeof(arguments[0]), arguments),
        "oneDNN could not run a matrix multiplication");
  }

 private:
  Shape shape_;
  dnnl::matmul primitive_;
  dnnl::memory a_, w_, out_, scratch_;
  std::size_t scratch_bytes_ = 0;
};

// What one thread keeps, the last used first: no locks, and oneDNN itself shares the code that it
// generated between all primitives of a shape.
class MatmulCache {
 public:
  static constexpr std::size_t kMost = 64;  // a pass has 6 products, each with up to 2 tile shapes

  Matmul& find(const Shape& shape) {
    for (auto i = matmuls_.begin(); i != matmuls_.end(); ++i) {
      if (i->shape() == shape) {
        matmuls_.splice(matmuls_.begin(), matmuls_, i);
        return matmuls_.front();
      }
    }
    if (matmuls_.size() == kMost) matmuls_.pop_back();
    return matmuls_.emplace_front(shape);
  }

  void run(Matmul& matmul, void* out, const void* a, const void* w) {
    matmul.run(stream_, out, a, w, scratch_.get(matmul.scratch_bytes()));
  }

  // A tile's memory: what it writes, and what pads its rows.
  void* out(std::size_t bytes) { return out_.get(bytes); }
  void* rows(std::size_t bytes) { return rows_.get(bytes); }

 private:
  dnnl::stream stream_{cpu_engine()};
  std::list<Matmul> matmuls_;
  Scratch scratch_, out_, rows_;
};

thread_local std::unique_ptr<MatmulCache> thread_cache;

MatmulCache& cache() {
  if (!thread_cache) thread_cache = std::make_unique<MatmulCache>();
  return *thread_cache;
}

}  // namespace

bool onednn_has_tiles() { return dnnl_get_effective_cpu_isa() >= dnnl_cpu_isa_avx512_core_amx; }

bool onednn_gemm(void* out, const void* a, const void* w, int m, int n, int k, GemmTypes types,
                 bool accumulate, int threads) {
  const std::size_t in_bytes = types == GemmTypes::F32_F32 ? 4 : 2;
  const std::size_t out_bytes = types == GemmTypes::BF16_BF16 ? 2 : 4;
  const std::int64_t column_tiles = std::max(1, n / kTileColumns);
  const std::int64_t row_tiles = (m + kTileRows - 1) / kTileRows;
  const std::int64_t tiles = column_tiles * row_tiles;
  const std::size_t row_bytes = std::size_t(k) * in_bytes;
  const int last_row = static_cast<int>(row_tiles - 1) * kTileRows;
  const char* last_rows = static_cast<const char*>(a) + last_row * row_bytes;
  if (m % kTileRows != 0) {  // the threads share them: a region waits for its thread
    void* padded = cache().rows(kTileRows * row_bytes);
    const std::size_t there = (m - last_row) * row_bytes;
    std::memcpy(padded, last_rows, there);
    std::memset(static_cast<char*>(padded) + there, 0, kTileRows * row_bytes - there);
    last_rows = static_cast<const char*>(padded);
  }
  threads = region_threads(threads, tiles, std::int64_t{m} * n * k / 8);
  std::atomic<bool> unsupported(false);
  std::mutex lock;
  std::string failure;
  // A region even for one thread: the number set in it ends with it.
#pragma omp parallel num_threads(threads)
  {
    name_compute_thread(omp_get_thread_num());
    omp_set_num_threads(1);  // what oneDNN asks for
#pragma omp for schedule(dynamic, 1)
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      // Neighbours in time share the weights, the larger operand.
      const int row = static_cast<int>(tile % row_tiles) * kTileRows;
      const std::int64_t column_tile = tile / row_tiles;
      const int column = static_cast<int>(column_tile) * kTileColumns;
      const int columns = column_tile + 1 == column_tiles ? n - column : kTileColumns;
      try {
        Matmul& matmul = cache().find(Shape{columns, k, types, accumulate});
        if (!matmul.supported()) {  // then no tile of these types is
          unsupported = true;
          continue;
        }
        const std::size_t tile_row_bytes = columns * out_bytes;
        char* result = static_cast<char*>(cache().out(kTileRows * tile_row_bytes));
        char* target = static_cast<char*>(out) + (std::size_t(row) * n + column) * out_bytes;
        const int rows = std::min(m - row, kTileRows);
        if (accumulate) {
          for (int r = 0; r < kTileRows; ++r) {
            // Padding adds to some row's numbers what nobody reads.
            std::memcpy(result + r * tile_row_bytes,
                        target + std::size_t(std::min(r, rows - 1)) * n * out_bytes,
                        tile_row_bytes);
          }
        }
        cache().run(matmul, result,
                    row == last_row ? last_rows : static_cast<const char*>(a) + row * row_bytes,
                    static_cast<const char*>(w) + column * row_bytes);
        for (int r = 0; r < rows; ++r) {
          std::memcpy(target + std::size_t(r) * n * out_bytes, result + r * tile_row_bytes,
                      tile_row_bytes);
        }
      } catch (const std::exception& thrown) {
        const std::lock_guard<std::mutex> guard(lock);
        failure = thrown.what();
      }
    }
  }
  if (!failure.empty()) throw std::runtime_error("oneDNN: " + failure);
  return !unsupported;
}

void onednn_release() { thread_cache.reset(); }

std::string onednn_version() {
  const dnnl_version_t* version = dnnl_version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
         std::to_string(version->patch);
}

}  // namespace remask::host

#else  // built without oneDNN

namespace remask::host {

bool onednn_has_tiles() { return false; }
bool onednn_gemm(void*, const void*, const void*, int, int, int, GemmTypes, bool, int) {
  return false;
}
void onednn_release() {}
std::string onednn_version() { return "none"; }

}  // namespace remask::host

#endif  // REMASK_HAVE_DNNL
