# How our code is compiled: language, warnings, cache, linker, sanitizers.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(THREADS_PREFER_PTHREAD_FLAG ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Line tables are all that a stack trace needs; full debug information triples the time of a link.
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
# Tests compile more templates than they run code: optimizing them costs more than it saves.
set(CVTRAIN_TEST_OPTIONS -O0)

# One ABI of std::string for Debian's libraries and LibTorch.
add_compile_definitions(_GLIBCXX_USE_CXX11_ABI=1)
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()

# The same for libraries and programs, and with or without gRPC, whose users get -pthread, so that
# they can share precompiled headers.
add_compile_options(-fPIC -pthread)
# Objects hold no absolute paths, so that they are the same wherever the tree is checked out, and
# __FILE__ starts at the root of the repository. (ccache makes paths relative to the build folder.)
file(RELATIVE_PATH _to_source ${CMAKE_BINARY_DIR} ${CMAKE_SOURCE_DIR}/)
add_compile_options(
  -ffile-prefix-map=${_to_source}=
  -ffile-prefix-map=${CMAKE_BINARY_DIR}=build
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=
)

# Several files of a library or test as one: what costs most, headers and the templates that they
# make, is then compiled once for all. It takes half the time for everything, and longer for one.
if(CVTRAIN_UNITY)
  set(CMAKE_UNITY_BUILD ON)
  set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # It takes what is local to an included file for something that others see too.
    add_compile_options(-Wno-subobject-linkage)
  endif()
endif()

# Warnings are errors in our code, and silent in generated code; see cvtrain_library().
set(CVTRAIN_WARNINGS -Wall -Wextra -Wshadow -Wconversion -Werror)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # GCC's -Wconversion leaves out changes of sign, and GCC is what the code is written for.
  list(APPEND CVTRAIN_WARNINGS -Wthread-safety -Werror=thread-safety -Wno-sign-conversion)
endif()

if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # The tables of CRC-32C, with assertions, take more steps than it grants a constant expression.
  add_compile_options(-fconstexpr-steps=16777216)
endif()

find_program(CVTRAIN_CCACHE ccache)
if(CVTRAIN_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths below the checkout's parent are hashed relative to the build folder, so several build
  # folders and checkouts share one cache. The sloppiness is what precompiled headers need.
  cmake_path(GET CMAKE_SOURCE_DIR PARENT_PATH _base)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      env CCACHE_BASEDIR=${_base} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${CVTRAIN_CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)  # shows ccache which precompiled header is used
  else()
    add_compile_options("SHELL:-Xclang -fno-pch-timestamp")  # it is known by its content
  endif()
endif()

find_program(CVTRAIN_MOLD mold)
if(CVTRAIN_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

if(CVTRAIN_SANITIZE STREQUAL "address")
  set(_flags -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(CVTRAIN_SANITIZE STREQUAL "thread")
  set(_flags -fsanitize=thread -fno-omit-frame-pointer)
elseif(CVTRAIN_SANITIZE)
  message(FATAL_ERROR "CVTRAIN_SANITIZE: must be empty, address or thread, got "
                      "'${CVTRAIN_SANITIZE}'")
else()
  set(_flags)
endif()
add_compile_options(${_flags})
add_link_options(${_flags})
if(CVTRAIN_SANITIZE STREQUAL "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Checks of each access to memory, which AddressSanitizer looks at, too: much of what compiling takes.
  add_compile_options(-fno-sanitize=null,alignment,vptr,object-size)
endif()
if(CVTRAIN_SANITIZE STREQUAL "address" AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  add_compile_options(-fsanitize-ignorelist=${CMAKE_SOURCE_DIR}/cmake/ubsan.ignore)
endif()

if(CVTRAIN_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "CVTRAIN_FUZZ: libFuzzer comes with Clang; use the preset `fuzz`")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
