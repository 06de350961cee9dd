#include "row_copies.h"

#include <cstring>

namespace remask::host {

template <typename X>
void gather_rows(const RemaskLaunch&, X* out, const X* in, const int* index, int rows, int width) {
  for (int row = 0; row < rows; ++row) {
    std::memcpy(out + static_cast<std::size_t>(row) * width,
                in + static_cast<std::size_t>(index[row]) * width, sizeof(X) * width);
  }
}
template void gather_rows(const RemaskLaunch&, bf16*, const bf16*, const int*, int, int);
template void gather_rows(const RemaskLaunch&, float*, const float*, const int*, int, int);

template <typename X>
void store_kv(const RemaskLaunch&, X* keys, X* values, const X* k, const X* v,
              const int* cache_rows, int rows, int width, int stride) {
  for (int row = 0; row < rows; ++row) {
    if (cache_rows[row] < 0) continue;
    const std::size_t to = static_cast<std::size_t>(cache_rows[row]) * width;
    const std::size_t from = static_cast<std::size_t>(row) * stride;
    std::memcpy(keys + to, k + from, sizeof(X) * width);
    std::memcpy(values + to, v + from, sizeof(X) * width);
  }
}
template void store_kv(const RemaskLaunch&, bf16*, bf16*, const bf16*, const bf16*, const int*, int,
                       int, int);
template void store_kv(const RemaskLaunch&, float*, float*, const float*, const float*, const int*,
                       int, int, int);

}  // namespace remask::host
