// Prints the same facts as the software device's own headers have them (native/driver), and the
// table's last section: Remask's own functions and structs. The first part must be a part of the
// table, which says what CUDA's headers have.
#include "constraint.h"
#include "device_api.h"
#include "diffusion_state.h"
#include "facts.h"
#include "names.h"

using CUDA_GRAPH_INSTANTIATE_PARAMS = CUgraphInstantiateParams;
using namespace remask;

#define REMASK_PRINT_ERROR(name, value, text) \
  ::remask::abi::constant("CUDA_ERROR_" #name, CUDA_ERROR_##name);
#define REMASK_PRINT_STATUS(name, value) \
  ::remask::abi::constant("CUBLAS_STATUS_" #name, CUBLAS_STATUS_##name);

int main(int argc, char**) {
  const bool own_only = argc > 1;
  if (!own_only) {
    REMASK_DRIVER_FUNCTIONS(REMASK_PRINT_FUNCTION)
    REMASK_DRIVER_TYPES(REMASK_PRINT_TYPE)
    REMASK_DRIVER_STRUCTS(REMASK_PRINT_STRUCT)
    REMASK_DRIVER_FIELDS(REMASK_PRINT_FIELD)
    REMASK_CUDA_ERRORS(REMASK_PRINT_ERROR)
    REMASK_DRIVER_CONSTANTS(REMASK_PRINT_CONSTANT)
    REMASK_BLASLT_FUNCTIONS(REMASK_PRINT_FUNCTION)
    REMASK_BLASLT_STRUCTS(REMASK_PRINT_STRUCT)
    REMASK_BLASLT_FIELDS(REMASK_PRINT_FIELD)
    REMASK_CUBLAS_STATUSES(REMASK_PRINT_STATUS)
    REMASK_BLASLT_CONSTANTS(REMASK_PRINT_CONSTANT)
  }
  REMASK_OWN_FUNCTIONS(REMASK_PRINT_FUNCTION)
  REMASK_OWN_STRUCTS(REMASK_PRINT_STRUCT)
  REMASK_OWN_FIELDS(REMASK_PRINT_FIELD)
  REMASK_OWN_CONSTANTS(REMASK_PRINT_CONSTANT)
  return 0;
}
