# Writes the ABI table:
#   cmake -DTABLE=<file> -DDRIVER=<program> -DBLASLT=<program;folder> -DOWN=<program;argument>
#     -DNVTX=<program>
#     -DDRIVER_SOURCE=<text> -DBLASLT_SOURCE=<text> -P regenerate.cmake
set(text
"# The ABI that Remask binds: facts by a compiler, one a line. Do not edit: build abi-regenerate.
# CTest compares it with the toolkit's headers where they are, and with the software device's
# always; a Java test compares every layout, descriptor and constant with it.
#   function <name> <type>(<type>, ...)
#   type <name> <type>
#   struct <name> size <bytes> align <bytes>
#   field <struct>.<name> offset <bytes> size <bytes> type <type>
#   enum <name> <value>                      enumerators and macros
# Types: void, pointer, i8 i16 i32 i64 (enumerations by their size), f32, f64, <type>[<count>],
# struct:<size>:<alignment> for a struct by value.
")
foreach(section driver cublaslt remask nvtx)
  if(section STREQUAL "driver")
    set(command ${DRIVER})
    set(source ": ${DRIVER_SOURCE}")
  elseif(section STREQUAL "cublaslt")
    set(command ${BLASLT})
    set(source ": ${BLASLT_SOURCE}")
  elseif(section STREQUAL "nvtx")
    set(command ${NVTX})
    set(source ": nvtx3/nvToolsExt.h")
  else()
    set(command ${OWN})
    set(source ": kernels/include/diffusion_state.h, native/driver/device_api.h")
  endif()
  execute_process(COMMAND ${command} OUTPUT_VARIABLE printed RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${command} failed: ${result}")
  endif()
  string(APPEND text "# section ${section}${source}\n${printed}")
endforeach()
file(WRITE ${TABLE} "${text}")
