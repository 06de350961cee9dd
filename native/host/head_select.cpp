#include "head_select.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "gemm.h"
#include "parallel.h"

namespace remask::host {
namespace {

// Most places of a group, even. With slices of 1024 columns its logits are half a megabyte, which
// stays in the second cache; more would use a slice's weights no better, which by then cost less
// to read than to multiply.
constexpr int kMostPlaces = 128;
constexpr int kStrip = 16;  // columns of a strip of packed weights
constexpr std::size_t kCacheLine = 64;

// Parts of one piece of scratch memory, each aligned to a page.
class Parts {
 public:
  template <typename T>
  std::size_t add(std::size_t count) {
    constexpr std::size_t kPage = 4096;
    const std::size_t begin = bytes_;
    bytes_ += (count * sizeof(T) + kPage - 1) / kPage * kPage;
    return begin;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = 0;
};

// Writes the places of the rows that are to be chosen for and where their groups begin; counts
// both where there is nowhere to write.
struct Places {
  int count = 0, groups = 0;

  void lay(const Row* rows, int row_count, int* row_of, int* group_begins) {
    count = groups = 0;
    int group_end = 0;
    for (int index = 0; index < row_count; ++index) {
      if (rows[index].kind != kChoose) continue;
      const int needed = rows[index].unconditional_row >= 0 ? 2 : 1;
      if (count + needed > group_end) {
        if (group_begins != nullptr) group_begins[groups] = count;
        ++groups;
        group_end = count + kMostPlaces;
      }
      if (row_of != nullptr) {
        row_of[count] = index;
        if (needed == 2) row_of[count + 1] = kHeadCopy;
      }
      count += needed;
    }
    if (group_begins != nullptr) group_begins[groups] = count;
  }
};

}  // namespace

template <typename X>
void head_select(const KernelSet& set, const RemaskLaunch& launch, SelectPartial* partials,
                 const X* a, const X* w, const Row* rows, const Sequence* sequences, int row_count,
                 int columns, int k, int slice_width, SpecialTokens tokens) {
  require(slice_width > 0 && slice_width % kStrip == 0,
          "head_select: slice_width is no multiple of 16");
  require(columns > 0 && k > 0, "head_select: there are no columns or no k");
  Places places;
  places.lay(rows, row_count, nullptr, nullptr);
  if (places.count == 0) return;

  HeadWork<X> work = {};
  work.partials = partials;
  work.w = w;
  work.rows = rows;
  work.sequences = sequences;
  work.tokens = tokens;
  work.columns = columns;
  work.k = k;
  work.slice_width = slice_width;
  work.slices = (columns + slice_width - 1) / slice_width;
  work.groups = places.groups;
  const int most = std::min(places.count, kMostPlaces);
  // Rows a power of two apart would share few sets of the first cache.
  work.logits_stride = slice_width + kStrip;
  work.logits_floats = std::int64_t{most} * work.logits_stride;
  work.prepared_floats =
      static_cast<std::int64_t>((packed_scratch_bytes(most, k, 1) + kCacheLine - 1) / kCacheLine *
                                kCacheLine / sizeof(float));
  const std::int64_t products = std::int64_t{places.count} * columns * k;
  const int threads =
      region_threads(launch.threads, std::int64_t{work.slices} * work.groups, products / 8);

  Parts parts;
  const std::size_t row_of_at = parts.add<int>(places.count);
  const std::size_t begins_at = parts.add<int>(places.groups + 1);
  const std::size_t a_at = parts.add<X>(static_cast<std::size_t>(places.count) * k);
  const std::size_t prepared_at = parts.add<float>(work.prepared_floats * work.groups);
  const std::size_t logits_at = parts.add<float>(work.logits_floats * threads);
  char* memory = static_cast<char*>(remask_gemm_scratch(parts.bytes()));
  int* row_of = reinterpret_cast<int*>(memory + row_of_at);
  int* group_begins = reinterpret_cast<int*>(memory + begins_at);
  X* gathered = reinterpret_cast<X*>(memory + a_at);
  places.lay(rows, row_count, row_of, group_begins);
  for (int place = 0; place < places.count; ++place) {
    const int index = row_of[place];
    const int from = index == kHeadCopy ? rows[row_of[place - 1]].unconditional_row : index;
    std::memcpy(gathered + std::size_t(place) * k, a + std::size_t(from) * k, sizeof(X) * k);
  }
  work.row_of = row_of;
  work.group_begins = group_begins;
  work.a = gathered;
  work.prepared = reinterpret_cast<float*>(memory + prepared_at);
  work.logits = reinterpret_cast<float*>(memory + logits_at);
  if constexpr (std::is_same_v<X, bf16>) {
    set.head_select_bf16(threads, work);
  } else {
    set.head_select_f32(threads, work);
  }
}

template void head_select(const KernelSet&, const RemaskLaunch&, SelectPartial*, const bf16*,
                          const bf16*, const Row*, const Sequence*, int, int, int, int,
                          SpecialTokens);
template void head_select(const KernelSet&, const RemaskLaunch&, SelectPartial*, const float*,
                          const float*, const Row*, const Sequence*, int, int, int, int,
                          SpecialTokens);

void head_select_bf16(const RemaskLaunch& launch, SelectPartial* partials, const bf16* a,
                      const bf16* w, const Row* rows, const Sequence* sequences, int row_count,
                      int columns, int k, int slice_width, SpecialTokens tokens) {
  head_select(best_kernel_set(), launch, partials, a, w, rows, sequences, row_count, columns, k,
              slice_width, tokens);
}

void head_select_f32(const RemaskLaunch& launch, SelectPartial* partials, const float* a,
                     const float* w, const Row* rows, const Sequence* sequences, int row_count,
                     int columns, int k, int slice_width, SpecialTokens tokens) {
  head_select(best_kernel_set(), launch, partials, a, w, rows, sequences, row_count, columns, k,
              slice_width, tokens);
}

}  // namespace remask::host
