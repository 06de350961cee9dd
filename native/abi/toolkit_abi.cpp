// Prints the table's driver section from the toolkit's headers.
//
// With this define cuda.h maps no name to a newer version of the function and declares all
// versions under the names a driver exports, which is what Java binds.
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <library_types.h>

#include "cuda_errors.h"
#include "facts.h"
#include "names.h"

#define REMASK_PRINT_ERROR(name, value, text) \
  ::remask::abi::constant("CUDA_ERROR_" #name, CUDA_ERROR_##name);

int main() {
  REMASK_DRIVER_FUNCTIONS(REMASK_PRINT_FUNCTION)
  REMASK_TOOLKIT_FUNCTIONS(REMASK_PRINT_FUNCTION)
  REMASK_DRIVER_TYPES(REMASK_PRINT_TYPE)
  REMASK_DRIVER_STRUCTS(REMASK_PRINT_STRUCT)
  REMASK_DRIVER_FIELDS(REMASK_PRINT_FIELD)
  REMASK_PRINT_FIELD(CUlaunchAttribute, value)
  REMASK_CUDA_ERRORS(REMASK_PRINT_ERROR)
  REMASK_DRIVER_CONSTANTS(REMASK_PRINT_CONSTANT)
  REMASK_TOOLKIT_CONSTANTS(REMASK_PRINT_CONSTANT)
  return 0;
}
