# CTest (cmake -P): the gates of check.cmake, on what ptxas said of kernels that break each of them,
# and those of kernel_table. ptxas.txt is a log of nvcc 13.0: `serial` has serialised wgmmas,
# `stacker` a stack frame, `spiller` spills; of `greedy`, `stranger` and `modest` the registers were
# typed in.
#   cmake -DFOLDER=<for files> -DKERNEL_TABLE=<program> -P gates_test.cmake
cmake_minimum_required(VERSION 3.22)
get_filename_component(kernels ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)
file(MAKE_DIRECTORY ${FOLDER})
set(budgets ${FOLDER}/budgets.txt)
file(WRITE ${budgets} "# kernel architectures registers
serial   *              40 1 128 0 1 work/f32 why
stacker  *              40 1 128 0 1 work/f32 why
spiller  *              40 1 128 0 1 work/f32 why
greedy   sm_86,sm_80   128 1 128 0 1 work/f32 why
greedy   *             255 1 128 0 1 work/f32 why
stranger sm_90a        255 1 128 0 1 work/f32 why
modest   *             128 1 128 0 1 work/f32 why
")

# Runs check.cmake on a log; `says` are expressions for its words, none: it has to pass.
function(check log gate)
  file(REMOVE ${FOLDER}/table.txt)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -DLOG=${log} -DTABLE=${FOLDER}/table.txt -DGATE=${gate}
      -DBUDGETS=${budgets} -P ${kernels}/check.cmake
    OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
  # message() breaks lines where it likes.
  string(REGEX REPLACE "[ \n]+" " " output "${output}")
  set(wanted_failure FALSE)
  if(ARGN AND gate STREQUAL "SEND_ERROR")
    set(wanted_failure TRUE)
  endif()
  set(failed FALSE)
  if(NOT status EQUAL 0)
    set(failed TRUE)
  endif()
  if(NOT failed STREQUAL wanted_failure)
    message(FATAL_ERROR "${log}, ${gate}: status ${status}\n${output}")
  endif()
  foreach(says ${ARGN})
    if(NOT output MATCHES "${says}")
      message(FATAL_ERROR "${log}: no \"${says}\" in\n${output}")
    endif()
  endforeach()
  if(failed AND EXISTS ${FOLDER}/table.txt)
    message(FATAL_ERROR "${log}: a table in spite of findings")
  endif()
  if(output MATCHES "modest")
    message(FATAL_ERROR "${log}: a kernel within its budget was reported\n${output}")
  endif()
endfunction()

set(findings
  "C7511. Potential Performance Loss" "C7519. warpgroup.arrive is injected"
  "stacker sm_90a: 64 bytes stack frame" "spiller sm_90a: 824 bytes stack frame, 1240 bytes spill"
  "greedy sm_80: 129 registers, the budget is 128" "stranger sm_80: 20 registers, no budget")
check(${CMAKE_CURRENT_LIST_DIR}/ptxas.txt SEND_ERROR ${findings})
check(${CMAKE_CURRENT_LIST_DIR}/ptxas.txt WARNING ${findings})
file(READ ${FOLDER}/table.txt table)
if(NOT table MATCHES "greedy sm_80 registers=129 shared_bytes=1024\n")
  message(FATAL_ERROR "not in the table: greedy\n${table}")
endif()

# One finding alone is enough.
set(properties "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n")
set(entry "ptxas info    : Compiling entry function 'modest' for 'sm_80'\n")
set(used "ptxas info    : Used 128 registers, used 1 barriers\n")
file(WRITE ${FOLDER}/good.txt "${entry}${properties}${used}")
check(${FOLDER}/good.txt SEND_ERROR)
file(WRITE ${FOLDER}/note.txt
  "ptxas info    : (C7508) setmaxnreg ignored\n${entry}${properties}${used}")
check(${FOLDER}/note.txt SEND_ERROR "C7508. setmaxnreg ignored")

# kernel_table: `says` empty if it has to pass.
function(check_table says kernels_text budgets_text)
  file(WRITE ${FOLDER}/kernels.txt "${kernels_text}")
  file(WRITE ${budgets} "${budgets_text}")
  execute_process(
    COMMAND ${KERNEL_TABLE} ${FOLDER}/kernels.txt ${budgets} 13.0 ${FOLDER}/KERNELS.md ${ARGN}
    OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
  if(says STREQUAL "" AND NOT status EQUAL 0)
    message(FATAL_ERROR "kernel_table: ${status}: ${output}")
  elseif(NOT says STREQUAL "" AND (status EQUAL 0 OR NOT output MATCHES "${says}"))
    message(FATAL_ERROR "kernel_table: ${status}, no \"${says}\" in: ${output}")
  endif()
endfunction()

set(modest "modest * 128 4 128 0 1 swiglu/bf16 why\n")
set(compiled "modest sm_80 registers=128 shared_bytes=1024\n")
check_table("" "${compiled}" "${modest}")
file(RENAME ${FOLDER}/KERNELS.md ${FOLDER}/committed.md)
check_table("" "${compiled}" "${modest}" ${FOLDER}/committed.md)
check_table("committed.md:.* is out of date" "modest sm_80 registers=127 shared_bytes=1024\n"
  "${modest}" ${FOLDER}/committed.md)
check_table("stranger sm_80 has no line" "${compiled}stranger sm_80 registers=1 shared_bytes=0\n"
  "${modest}")
check_table("gone .* not compiled" "${compiled}" "${modest}gone * 1 1 32 0 1 swiglu/bf16 why\n")
check_table("unknown work magic/bf16" "${compiled}" "modest * 128 4 128 0 1 magic/bf16 why\n")
check_table("4 CTAs per SM, declared are 5" "${compiled}"
  "modest * 128 5 128 0 1 swiglu/bf16 why\n")
check_table("1 CTAs per SM, declared are 4" "${compiled}"
  "modest * 128 4 128 90000 1 swiglu/bf16 why\n")
