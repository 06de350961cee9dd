// Prints the table's NVTX section from the toolkit's nvtx3 headers, whose functions have the
// parameters of those that libnvtx3interop.so and libnvToolsExt.so export.
#include <nvtx3/nvToolsExt.h>

#include "facts.h"
#include "names.h"

int main() {
  REMASK_NVTX_FUNCTIONS(REMASK_PRINT_FUNCTION)
  REMASK_NVTX_STRUCTS(REMASK_PRINT_STRUCT)
  REMASK_NVTX_FIELDS(REMASK_PRINT_FIELD)
  REMASK_NVTX_CONSTANTS(REMASK_PRINT_CONSTANT)
  return 0;
}
