// Kernels that copy rows, one form of which serves every processor. kernels/gather.cu and
// store_kv.cu define them.
#ifndef REMASK_HOST_ROW_COPIES_H_
#define REMASK_HOST_ROW_COPIES_H_

#include "kernel_set.h"

namespace remask::host {

template <typename X>
void gather_rows(const RemaskLaunch& launch, X* out, const X* in, const int* index, int rows,
                 int width);
template <typename X>
void store_kv(const RemaskLaunch& launch, X* keys, X* values, const X* k, const X* v,
              const int* cache_rows, int rows, int width, int stride);

}  // namespace remask::host

#endif  // REMASK_HOST_ROW_COPIES_H_
