# cmake -P script of images.cmake: compiles one .cu into a fatbin and keeps what ptxas said (LOG),
# for check.cmake to read.
get_filename_component(operation ${SOURCE} NAME_WE)
get_filename_component(folder ${LOG} DIRECTORY)
file(MAKE_DIRECTORY ${folder})
# Device code only: the host compiler just preprocesses, so any version of it will do.
execute_process(
  COMMAND ${NVCC} -std=c++17 -O3 -allow-unsupported-compiler ${GENERATE_CODE} -fatbin
    -Xptxas -v,--warn-on-spills,--warn-on-local-memory-usage -o ${IMAGE} ${SOURCE}
  OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${operation}: nvcc failed (${status})\n${output}")
endif()
file(WRITE ${LOG} "${output}")
