# cmake -P script of the test ptx-conformance: nvcc -ptx of the probes, then conformance.
if(NOT NVCC)
  message("skipped: no nvcc, so there is no PTX to compare with the manual")
  return()
endif()
set(files "")
foreach(probes "sm80 80" "sm90a 90a")
  string(REPLACE " " ";" probes ${probes})
  list(GET probes 0 name)
  list(GET probes 1 architecture)
  set(file ${OUTPUT}/probes_${name}.ptx)
  execute_process(
    COMMAND ${NVCC} -std=c++17 -O3 -allow-unsupported-compiler
      -gencode=arch=compute_${architecture},code=compute_${architecture}
      -ptx -o ${file} ${FOLDER}/probes_${name}.cu
    RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "nvcc -ptx of probes_${name}.cu failed")
  endif()
  list(APPEND files ${file})
endforeach()
list(JOIN files "," files)
# Would it notice? The same with two operands of one row exchanged must fail.
file(READ ${FOLDER}/table.txt table)
string(REPLACE "{$3, $4}, {$1.0..12>0..12}" "{$4, $3}, {$1.0..12>0..12}" wrong "${table}")
if(wrong STREQUAL table)
  message(FATAL_ERROR "the row that this script breaks on purpose is gone from table.txt")
endif()
file(WRITE ${OUTPUT}/wrong.txt "${wrong}")
set(headers ${FOLDER}/../../kernels/include)
execute_process(COMMAND ${CONFORMANCE} ${FOLDER}/table.txt ${files} ${headers}/ptx.h
  ${headers}/ptx_sm90a.h RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "the wrappers differ from the manual")
endif()
execute_process(COMMAND ${CONFORMANCE} ${OUTPUT}/wrong.txt ${files} ${headers}/ptx.h
  ${headers}/ptx_sm90a.h RESULT_VARIABLE status OUTPUT_QUIET)
if(status EQUAL 0)
  message(FATAL_ERROR "a wrong table was not noticed")
endif()
