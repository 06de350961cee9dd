# The probes of the GPU bundle: every kernels/probes/<name>.cu as <build>/probes/<name>.fatbin. No
# product kernel, so no register budget and no row in the kernel table. Included behind
# images.cmake, whose nvcc and choice of architectures it uses.
if(NOT COMMAND remask_generate_code)
  message(FATAL_ERROR "REMASK_PROBES needs the GPU images: ${remask_no_images}")
endif()
set(remask_probes "")
file(GLOB remask_probe_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cu)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/probes)
foreach(source ${remask_probe_sources})
  get_filename_component(name ${source} NAME_WE)
  set(image ${CMAKE_BINARY_DIR}/probes/${name}.fatbin)
  remask_generate_code(${name} generate_code)
  add_custom_command(
    OUTPUT ${image}
    COMMAND ${CMAKE_COMMAND} -DNVCC=${REMASK_NVCC} -DSOURCE=${source} -DIMAGE=${image}
      -DLOG=${CMAKE_BINARY_DIR}/probes/logs/${name}.txt "-DGENERATE_CODE=${generate_code}"
      -P ${CMAKE_CURRENT_LIST_DIR}/../image.cmake
    DEPENDS ${source} ${remask_kernel_headers} ${CMAKE_CURRENT_LIST_DIR}/../image.cmake
    COMMENT "Probes of ${name}"
    VERBATIM)
  list(APPEND remask_probes ${image})
endforeach()
add_custom_target(remask-probes ALL DEPENDS ${remask_probes})
