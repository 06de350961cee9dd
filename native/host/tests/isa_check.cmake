# Fails where a file that is compiled for one instruction set shares a function with others: the
# linker keeps one of several inline functions of a name, and might keep the one for AVX-512.
#   cmake -DNM=<nm> -DOBJECTS=<object|object...> -P isa_check.cmake
string(REPLACE "|" ";" objects "${OBJECTS}")
set(checked 0)
set(shared "")
foreach(object ${objects})
  get_filename_component(name ${object} NAME)
  if(NOT name MATCHES "^simd_")
    continue()
  endif()
  math(EXPR checked "${checked} + 1")
  execute_process(COMMAND ${NM} -C --defined-only ${object} OUTPUT_VARIABLE symbols
    COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE ";" "," symbols "${symbols}")
  string(REPLACE "\n" ";" symbols "${symbols}")
  foreach(symbol ${symbols})
    # Weak and unique ones are the linker's choice; the others would not link twice.
    if(symbol MATCHES "^[0-9a-f]+ [WVu] " AND NOT symbol MATCHES "DW\\.ref\\." AND
       NOT symbol MATCHES "remask::host::(int8_)?(baseline|avx)")
      string(APPEND shared "\n  ${name}: ${symbol}")
    endif()
  endforeach()
endforeach()
if(checked EQUAL 0)
  message(FATAL_ERROR "no object of simd_*.cpp was given")
endif()
if(shared)
  message(FATAL_ERROR "functions outside of the instruction set's namespace:${shared}")
endif()
message(STATUS "${checked} objects share nothing")
