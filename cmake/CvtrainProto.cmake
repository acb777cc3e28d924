# Libraries of generated code.
#
#   cvtrain_proto_library(NAME PROTOS cvtrain/v1/trial.proto ... [GRPC] [DEPS ...])
#
# Generates C++ for each file with Debian's protoc, into ${CMAKE_BINARY_DIR}/proto, which is the
# include root ("cvtrain/v1/trial.pb.h"); CVTRAIN_HEADERS, a property of NAME, lists the headers. With
# GRPC, generates the stubs of those files that define a service ("cvtrain/v1/trial.grpc.pb.h") and
# no messages.
#
# The code is compiled without our warnings and without UndefinedBehaviorSanitizer, which takes
# minutes for it, a few files at a time: their cost is the headers, not the code.

find_program(CVTRAIN_GRPC_PLUGIN grpc_cpp_plugin REQUIRED)

function(_cvtrain_generate proto extension out_var)
  cmake_parse_arguments(PARSE_ARGV 3 ARG "" "" "FLAGS")
  set(out ${CMAKE_BINARY_DIR}/proto)
  string(REGEX REPLACE "\\.proto$" "" stem ${proto})
  add_custom_command(
    OUTPUT ${out}/${stem}.${extension}.cc ${out}/${stem}.${extension}.h
    COMMAND protobuf::protoc -I ${CMAKE_CURRENT_SOURCE_DIR} ${ARG_FLAGS}
            --dependency_out=${out}/${stem}.${extension}.d ${CMAKE_CURRENT_SOURCE_DIR}/${proto}
    DEPENDS ${proto}
    DEPFILE ${out}/${stem}.${extension}.d
    COMMENT "Generating ${stem}.${extension}.cc"
    VERBATIM)
  set(${out_var} ${out}/${stem}.${extension}.cc ${out}/${stem}.${extension}.h PARENT_SCOPE)
endfunction()

# protoc gives these names of file scope to every file; in one translation unit they must differ.
set(_cvtrain_unity_names [[
#ifndef CVTRAIN_UNITY_NAME
#define CVTRAIN_UNITY_JOIN(a, b) a##_##b
#define CVTRAIN_UNITY_EXPAND(a, b) CVTRAIN_UNITY_JOIN(a, b)
#define CVTRAIN_UNITY_NAME(a) CVTRAIN_UNITY_EXPAND(a, CVTRAIN_UNITY_ID)
#define schemas CVTRAIN_UNITY_NAME(schemas)
#define file_default_instances CVTRAIN_UNITY_NAME(file_default_instances)
#endif
]])

function(cvtrain_proto_library name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "GRPC" "" "PROTOS;DEPS")
  set(out ${CMAKE_BINARY_DIR}/proto)
  file(MAKE_DIRECTORY ${out})
  set(sources)
  set(headers)
  foreach(proto IN LISTS ARG_PROTOS)
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${proto})
      _cvtrain_missing("${name}: there is no file ${proto}")
      continue()
    endif()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${proto})
    if(ARG_GRPC)
      file(STRINGS ${proto} service REGEX "^service ")
      if(service)
        _cvtrain_generate(${proto} grpc.pb files FLAGS --grpc_out=${out}
                          --plugin=protoc-gen-grpc=${CVTRAIN_GRPC_PLUGIN})
        list(APPEND sources ${files})
      endif()
    else()
      _cvtrain_generate(${proto} pb files FLAGS --cpp_out=${out})
      list(APPEND sources ${files})
      string(REGEX REPLACE "\\.proto$" ".pb.h" header ${proto})
      list(APPEND headers ${header})
    endif()
  endforeach()

  if(sources)
    add_library(${name} STATIC ${sources})
    target_include_directories(${name} SYSTEM PUBLIC ${out})
    target_compile_options(${name} PRIVATE -w -fno-sanitize=undefined)
    target_link_libraries(${name} PUBLIC ${ARG_DEPS})
    set_target_properties(${name} PROPERTIES
      CVTRAIN_HEADERS "${headers}"
      UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 5
      UNITY_BUILD_UNIQUE_ID CVTRAIN_UNITY_ID
      UNITY_BUILD_CODE_BEFORE_INCLUDE "${_cvtrain_unity_names}")
  else()
    add_library(${name} INTERFACE)
  endif()
  add_library(cvtrain::${name} ALIAS ${name})
endfunction()
