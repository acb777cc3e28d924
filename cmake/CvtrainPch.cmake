# Precompiled headers: half to two thirds of what a file costs is reading those of others.
#
#   cvtrain_precompile(TARGET [TEST] DEPS ...)
#
# TARGET gets the precompiled header that suits DEPS, the libraries whose headers it sees:
#
#   common     the standard library and Abseil: what every tenth file of ours includes
#   messages   the same, and all messages of proto/
#   grpc       the same, and <grpcpp/grpcpp.h>
#   torch      common, <torch/types.h> and <torch/utils.h>: tensors, what computes with them,
#              autograd's guards. <torch/torch.h> adds modules, optimizers and loaders, which we have
#              our own of, and costs three times as much in every file, precompiled or not: GCC
#              instantiates the templates of a precompiled header anew in each.
#
# A TEST gets one of four more that have GoogleMock too, compiled with the options of tests.
#
# Each header is compiled once, by an object library that holds nothing else. It is compiled with
# the same options as our code, so a target that adds options of its own which change the language
# cannot have one. A file still includes what it uses: CVTRAIN_PCH=OFF builds without.

set(_cvtrain_pch_common
  <algorithm> <array> <cmath> <cstdint> <functional> <map> <memory> <optional> <set> <string>
  <utility> <vector>
  <absl/status/status.h> <absl/status/statusor.h> <absl/strings/match.h>
  <absl/strings/numbers.h> <absl/strings/str_cat.h> <absl/strings/str_format.h>
  <absl/strings/str_join.h> <absl/strings/str_split.h> <absl/synchronization/mutex.h>
  <absl/time/time.h> <absl/types/span.h>)

# Adds the object library `owner`, which precompiles `headers` of `libraries`.
function(_cvtrain_add_pch owner options libraries headers)
  set(source ${CMAKE_BINARY_DIR}/pch/${owner}.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "// Owns a precompiled header.\n")
  add_library(${owner} OBJECT ${source})
  target_include_directories(${owner} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${owner} PRIVATE ${options})
  target_link_libraries(${owner} PRIVATE ${libraries})
  target_precompile_headers(${owner} PRIVATE ${headers})
  if(CVTRAIN_SANITIZE OR CVTRAIN_FUZZ)
    set_target_properties(${owner} PROPERTIES EXCLUDE_FROM_ALL ON)  # built where it is used
  endif()
endfunction()

function(cvtrain_precompile target)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "TEST" "" "DEPS")
  if(NOT CVTRAIN_PCH)
    return()
  endif()
  set(headers ${_cvtrain_pch_common})
  set(libraries absl::status absl::statusor absl::strings absl::str_format absl::synchronization
                absl::time absl::span)
  if("LibTorch::cpu" IN_LIST ARG_DEPS)
    set(name torch)
    list(APPEND headers <torch/types.h> <torch/utils.h>)
    list(APPEND libraries LibTorch::cpu)
  elseif("gRPC::grpc++" IN_LIST ARG_DEPS)
    set(name grpc)
    list(APPEND headers <grpcpp/grpcpp.h>)
    list(APPEND libraries gRPC::grpc++)
  elseif("cvtrain::proto" IN_LIST ARG_DEPS)
    set(name messages)
  else()
    set(name common)
  endif()
  if(name MATCHES "^(grpc|messages)$")
    get_target_property(messages proto CVTRAIN_HEADERS)
    list(TRANSFORM messages REPLACE "(.+)" "<\\1>")
    list(APPEND headers ${messages})
    list(APPEND libraries cvtrain::proto)
  endif()
  set(options)
  if(ARG_TEST)
    string(PREPEND name test_)
    list(APPEND headers <gmock/gmock.h> <gtest/gtest.h>)
    list(APPEND libraries GTest::gmock)
    set(options ${CVTRAIN_TEST_OPTIONS})
  endif()
  if(NOT TARGET pch_${name})
    _cvtrain_add_pch(pch_${name} "${options}" "${libraries}" "${headers}")
  endif()
  target_precompile_headers(${target} REUSE_FROM pch_${name})
endfunction()
