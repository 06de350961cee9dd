# GPU images: every kernels/<operation>.cu as <build>/images/<operation>.fatbin, native code for the
# architectures below and PTX for those to come, and <build>/images/kernels.txt, a table of the
# registers and shared memory that each kernel uses. <operation>_sm90a.cu (TMA, wgmma) is for sm_90a
# alone: no other architecture has these instructions, later ones included, so there is no PTX
# either. Included by native/CMakeLists.txt where REMASK_IMAGES is not OFF; needs nvcc only, not
# CMake's CUDA language, which would ask for a CUDA runtime library too.

# Oldest nvcc that knows sm_120. The checks of check.cmake are errors with the pinned version, which
# the kernels are tuned on, and warnings with others.
set(REMASK_NVCC_OLDEST 12.8)
set(REMASK_NVCC_PINNED 13.0)

# sm_80 is the oldest with bf16, so its PTX serves every card that no native code here fits.
set(remask_architectures 80 86 89 90a 100 120)
set(remask_ptx_architecture 80)

find_program(REMASK_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda
  PATH_SUFFIXES bin DOC "nvcc for the GPU images")
set(remask_no_images "")
if(NOT REMASK_NVCC)
  set(remask_no_images "no nvcc was found (looked in PATH, CUDA_HOME, /usr/local/cuda)")
else()
  execute_process(COMMAND ${REMASK_NVCC} --version OUTPUT_VARIABLE remask_nvcc_text)
  string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" ignored "${remask_nvcc_text}")
  set(remask_nvcc_version "${CMAKE_MATCH_1}")
  if(NOT remask_nvcc_version VERSION_GREATER_EQUAL REMASK_NVCC_OLDEST)
    set(remask_no_images
      "${REMASK_NVCC} is version ${remask_nvcc_version}, older than ${REMASK_NVCC_OLDEST}")
  endif()
endif()

if(remask_no_images)
  if(REMASK_IMAGES STREQUAL "AUTO")
    message(STATUS "GPU images are left out: ${remask_no_images}")
    return()
  endif()
  message(FATAL_ERROR "REMASK_IMAGES=${REMASK_IMAGES}, but ${remask_no_images}")
endif()
message(STATUS "GPU images by ${REMASK_NVCC} ${remask_nvcc_version}")

set(remask_gate WARNING)
if(remask_nvcc_version VERSION_EQUAL REMASK_NVCC_PINNED)
  set(remask_gate SEND_ERROR)
endif()

# nvcc's options for what an operation is compiled for, by the suffix of its name.
function(remask_generate_code operation result)
  set(architectures ${remask_architectures})
  set(ptx -gencode=arch=compute_${remask_ptx_architecture},code=compute_${remask_ptx_architecture})
  if(operation MATCHES "_sm90a$")
    set(architectures 90a)
    set(ptx "")
  endif()
  set(options "")
  foreach(architecture ${architectures})
    list(APPEND options -gencode=arch=compute_${architecture},code=sm_${architecture})
  endforeach()
  set(${result} ${options} ${ptx} PARENT_SCOPE)
endfunction()

set(remask_images_folder ${CMAKE_BINARY_DIR}/images)
file(MAKE_DIRECTORY ${remask_images_folder})
file(GLOB remask_kernel_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cu)
file(GLOB remask_kernel_headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/include/*.h)
set(remask_images "")
set(remask_tables "")
foreach(source ${remask_kernel_sources})
  get_filename_component(operation ${source} NAME_WE)
  set(image ${remask_images_folder}/${operation}.fatbin)
  set(log ${CMAKE_BINARY_DIR}/image-logs/${operation}.txt)
  set(table ${CMAKE_BINARY_DIR}/image-tables/${operation}.txt)
  remask_generate_code(${operation} generate_code)
  add_custom_command(
    OUTPUT ${image} ${log}
    COMMAND ${CMAKE_COMMAND} -DNVCC=${REMASK_NVCC} -DSOURCE=${source} -DIMAGE=${image}
      -DLOG=${log} "-DGENERATE_CODE=${generate_code}" -P ${CMAKE_CURRENT_LIST_DIR}/image.cmake
    DEPENDS ${source} ${remask_kernel_headers} ${CMAKE_CURRENT_LIST_DIR}/image.cmake
    COMMENT "GPU image of ${operation}"
    VERBATIM)
  add_custom_command(
    OUTPUT ${table}
    COMMAND ${CMAKE_COMMAND} -DLOG=${log} -DTABLE=${table} -DGATE=${remask_gate}
      -DBUDGETS=${CMAKE_CURRENT_LIST_DIR}/budgets.txt -P ${CMAKE_CURRENT_LIST_DIR}/check.cmake
    DEPENDS ${log} ${CMAKE_CURRENT_LIST_DIR}/budgets.txt ${CMAKE_CURRENT_LIST_DIR}/check.cmake
    COMMENT "Registers, spills and ptxas notes of ${operation}"
    VERBATIM)
  list(APPEND remask_images ${image})
  list(APPEND remask_tables ${table})
endforeach()
add_custom_command(
  OUTPUT ${remask_images_folder}/kernels.txt
  COMMAND ${CMAKE_COMMAND} -E cat ${remask_tables} > ${remask_images_folder}/kernels.txt
  DEPENDS ${remask_tables}
  VERBATIM)

# KERNELS.md is committed; with the pinned nvcc it has to say what this build found.
set(remask_kernel_table ${CMAKE_CURRENT_LIST_DIR}/KERNELS.md)
set(remask_new_kernel_table ${CMAKE_BINARY_DIR}/KERNELS.md)
set(remask_table_inputs ${remask_images_folder}/kernels.txt ${CMAKE_CURRENT_LIST_DIR}/budgets.txt)
set(remask_committed "")
if(remask_gate STREQUAL "SEND_ERROR")
  set(remask_committed ${remask_kernel_table})
endif()
add_custom_command(
  OUTPUT ${remask_new_kernel_table}.checked
  COMMAND kernel_table ${remask_table_inputs} ${remask_nvcc_version} ${remask_new_kernel_table}
    ${remask_committed}
  COMMAND ${CMAKE_COMMAND} -E touch ${remask_new_kernel_table}.checked
  DEPENDS kernel_table ${remask_table_inputs} ${remask_committed}
  COMMENT "The table of kernels, against the committed one"
  VERBATIM)
add_custom_target(update-kernel-table
  COMMAND kernel_table ${remask_table_inputs} ${remask_nvcc_version} ${remask_kernel_table}
  DEPENDS kernel_table ${remask_table_inputs}
  VERBATIM)
add_custom_target(remask-images ALL DEPENDS ${remask_images} ${remask_table_inputs}
  ${remask_new_kernel_table}.checked)
