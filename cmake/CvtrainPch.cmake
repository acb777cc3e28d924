# Precompiled headers for the libraries whose headers cost seconds in every file.
#
#   cvtrain_torch_pch(TARGET)   TARGET includes <torch/types.h> and <torch/utils.h>: tensors, what
#                               computes with them, autograd's guards. <torch/torch.h> adds modules,
#                               optimizers and loaders, which we have our own of, and costs three
#                               times as much in every file, precompiled or not: GCC instantiates
#                               the templates of a precompiled header anew in each.
#   cvtrain_grpc_pch(TARGET)    TARGET includes <grpcpp/grpcpp.h>
#   cvtrain_test_pch(TARGET)    TARGET includes <gmock/gmock.h> and <gtest/gtest.h>; cvtrain_test()
#                               asks for it, for each test that has asked for no other. Tests that
#                               link gRPC must ask for that: its -pthread defines a macro, and a
#                               header that was precompiled without it is refused.
#
# Each header is compiled once, by an object library that holds nothing else, and used by all
# targets that ask. They are compiled with the same options as ours, so a target that adds options
# of its own which change the language must not ask. A file still includes what it uses.

# Makes `target` use what the object library `owner` precompiles: headers, of `library`, compiled
# with `options`. The first who asks makes the owner.
function(_cvtrain_pch target owner library options)
  if(NOT CVTRAIN_PCH OR NOT TARGET ${target})
    return()
  endif()
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "INTERFACE_LIBRARY")
    return()
  endif()
  if(NOT TARGET ${owner})
    set(source ${CMAKE_BINARY_DIR}/pch/${owner}.cc)
    file(CONFIGURE OUTPUT ${source} CONTENT "// Owns a precompiled header.\n")
    add_library(${owner} OBJECT ${source})
    target_include_directories(${owner} PRIVATE ${CMAKE_SOURCE_DIR})
    target_compile_options(${owner} PRIVATE ${options})
    target_link_libraries(${owner} PRIVATE ${library})
    target_precompile_headers(${owner} PRIVATE ${ARGN})
  endif()
  target_precompile_headers(${target} REUSE_FROM ${owner})
endfunction()

function(cvtrain_torch_pch target)
  _cvtrain_pch(${target} pch_torch LibTorch::cpu "" "<torch/types.h>" "<torch/utils.h>")
endfunction()

function(cvtrain_grpc_pch target)
  _cvtrain_pch(${target} pch_grpc gRPC::grpc++ "" "<grpcpp/grpcpp.h>")
endfunction()

# Tests are compiled with other optimization than what they test, and so is their header.
function(cvtrain_test_pch target)
  _cvtrain_pch(${target} pch_test GTest::gmock "${CVTRAIN_TEST_OPTIONS}"
               "<gmock/gmock.h>" "<gtest/gtest.h>")
endfunction()
