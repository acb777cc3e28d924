# The functions that every CMakeLists.txt of this project is written with.
#
#   cvtrain_add_folders(FOLDER...)
#   cvtrain_library(NAME [SRCS ...] [HDRS ...] [DEPS ...] [PRIVATE_DEPS ...])
#   cvtrain_binary(NAME SRCS ... [DEPS ...])
#   cvtrain_test(NAME TIER tier SRCS ... [DEPS ...] [PRIVATE_DEPS ...] [DATA ...]
#                [ARGS ...] [ENVIRONMENT NAME=VALUE ...] [TIMEOUT seconds] [NO_MAIN])
#   cvtrain_script_test(NAME TIER tier COMMAND ... [DATA ...] [ENVIRONMENT ...] [TIMEOUT seconds])
#
# DEPS are what headers expose, PRIVATE_DEPS the rest. Libraries are named in any order of folders:
# they are linked to each other when all folders have been read.

include(CvtrainPch)

# The tiers of tests, each a CTest label, and the seconds a test of it may take.
set(CVTRAIN_TIERS unit integration simulation crash fuzz load)
set(CVTRAIN_TIMEOUT_unit 120)
set(CVTRAIN_TIMEOUT_integration 600)
set(CVTRAIN_TIMEOUT_simulation 600)
set(CVTRAIN_TIMEOUT_crash 1200)
set(CVTRAIN_TIMEOUT_fuzz 300)
set(CVTRAIN_TIMEOUT_load 3600)

# Configures again when something appears in `folder`, which something was missing from.
function(_cvtrain_watch folder)
  if(NOT CVTRAIN_STRICT AND EXISTS ${folder})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder})
  endif()
endfunction()

# Adds the subfolders that exist: a folder that holds no code of a build has no CMakeLists.txt.
function(cvtrain_add_folders)
  foreach(folder IN LISTS ARGN)
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt)
      add_subdirectory(${folder})
    else()
      _cvtrain_watch(${CMAKE_CURRENT_SOURCE_DIR})
      _cvtrain_watch(${CMAKE_CURRENT_SOURCE_DIR}/${folder})
    endif()
  endforeach()
endfunction()

# Says that something named in a CMakeLists.txt is not there: an error, unless CVTRAIN_STRICT is off.
function(_cvtrain_missing)
  if(CVTRAIN_STRICT)
    message(SEND_ERROR ${ARGN})
  else()
    message(STATUS "MISSING: " ${ARGN})
  endif()
endfunction()

# Removes the files that do not exist from the list `variable`.
function(_cvtrain_drop_missing name variable)
  set(found)
  foreach(file IN LISTS ${variable})
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} OUTPUT_VARIABLE path)
    get_property(generated SOURCE ${path} PROPERTY GENERATED)
    if(generated OR EXISTS ${path})
      list(APPEND found ${file})
    else()
      _cvtrain_missing("${name}: there is no file ${file}")
      _cvtrain_watch(${CMAKE_CURRENT_SOURCE_DIR})
    endif()
  endforeach()
  set(${variable} ${found} PARENT_SCOPE)
endfunction()

# Keeps `deps` for _cvtrain_link_all(), which runs when all folders have been read.
function(_cvtrain_register target kind)
  set_property(GLOBAL APPEND PROPERTY CVTRAIN_TARGETS ${target})
  set_property(TARGET ${target} PROPERTY CVTRAIN_KIND ${kind})
  set_property(TARGET ${target} PROPERTY CVTRAIN_DEPS "${ARG_DEPS}")
  set_property(TARGET ${target} PROPERTY CVTRAIN_PRIVATE_DEPS "${ARG_PRIVATE_DEPS}")
endfunction()

function(_cvtrain_check_arguments name)
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${name}: unknown arguments: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(ARG_KEYWORDS_MISSING_VALUES AND NOT "${ARG_KEYWORDS_MISSING_VALUES}" MATCHES
     "^(SRCS|HDRS|DEPS|PRIVATE_DEPS|DATA|ARGS|ENVIRONMENT|;)+$")
    message(FATAL_ERROR "${name}: no value for ${ARG_KEYWORDS_MISSING_VALUES}")
  endif()
endfunction()

# A library: one per folder, named like the folder (coordinator/state is coordinator_state), with
# the alias cvtrain::NAME. Without SRCS it is a library of headers.
function(cvtrain_library name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SRCS;HDRS;DEPS;PRIVATE_DEPS")
  _cvtrain_check_arguments("cvtrain_library(${name})")
  _cvtrain_drop_missing(${name} ARG_SRCS)
  _cvtrain_drop_missing(${name} ARG_HDRS)
  if(ARG_SRCS)
    add_library(${name} STATIC ${ARG_SRCS} ${ARG_HDRS})
    target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
    target_compile_options(${name} PRIVATE ${CVTRAIN_WARNINGS})
  else()
    add_library(${name} INTERFACE ${ARG_HDRS})
    target_include_directories(${name} INTERFACE ${CMAKE_SOURCE_DIR})
  endif()
  add_library(cvtrain::${name} ALIAS ${name})
  _cvtrain_register(${name} library)
endfunction()

# A program, in the folder bin of the build.
function(cvtrain_binary name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SRCS;HDRS;DEPS;PRIVATE_DEPS")
  _cvtrain_check_arguments("cvtrain_binary(${name})")
  _cvtrain_drop_missing(${name} ARG_SRCS)
  _cvtrain_drop_missing(${name} ARG_HDRS)
  if(NOT ARG_SRCS)
    return()
  endif()
  add_executable(${name} ${ARG_SRCS} ${ARG_HDRS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${CVTRAIN_WARNINGS})
  _cvtrain_register(${name} binary)
endfunction()

# Registers a test that is built already with CTest. Tests of a sanitized build have its name in
# front, so that the tests of several builds can run, and be summed up, as one.
function(_cvtrain_add_test name tier timeout environment)
  set(test ${name})
  if(CVTRAIN_SANITIZE STREQUAL "address")
    set(test asan.${name})
    math(EXPR timeout "${timeout} * 3")
  elseif(CVTRAIN_SANITIZE STREQUAL "thread")
    set(test tsan.${name})
    math(EXPR timeout "${timeout} * 5")
  endif()
  add_test(NAME ${test} COMMAND ${ARGN} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${test} PROPERTIES
    LABELS ${tier} TIMEOUT ${timeout}
    ENVIRONMENT "CVTRAIN_BIN_DIR=${CMAKE_BINARY_DIR}/bin;CVTRAIN_SOURCE_DIR=${CMAKE_SOURCE_DIR};\
OMP_NUM_THREADS=1;\
TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/cmake/tsan.supp halt_on_error=1;${environment}")
  if(NOT tier STREQUAL "unit" AND NOT tier STREQUAL "fuzz")
    # These start processes and measure time; two at once would disturb each other.
    set_tests_properties(${test} PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()

macro(_cvtrain_check_tier)
  if(NOT ARG_TIER IN_LIST CVTRAIN_TIERS)
    message(FATAL_ERROR "${name}: TIER must be one of ${CVTRAIN_TIERS}, got '${ARG_TIER}'")
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT ${CVTRAIN_TIMEOUT_${ARG_TIER}})
  endif()
  _cvtrain_has_tier(${ARG_TIER} has_tier)
  if(NOT has_tier)
    return()
  endif()
endmacro()

# A program of tests, which is one test of CTest, labelled with its tier.
#
# It runs in the root of the repository. DATA names what else must be built before it runs:
# programs that it starts. The environment has CVTRAIN_BIN_DIR, where those are, and
# CVTRAIN_SOURCE_DIR. ARGS go on its command line. NO_MAIN: SRCS has a main() of its own; else it
# is GoogleTest's. A test of tier fuzz defines LLVMFuzzerTestOneInput and nothing else; its ARGS are
# files and folders of inputs to start from.
#
# Under ThreadSanitizer only tests that link neither gRPC nor RocksDB nor LibTorch are built: these
# libraries are not compiled for it, and what they synchronize would look like races.
function(cvtrain_test name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "NO_MAIN" "TIER;TIMEOUT"
                        "SRCS;HDRS;DEPS;PRIVATE_DEPS;DATA;ARGS;ENVIRONMENT")
  _cvtrain_check_arguments("cvtrain_test(${name})")
  _cvtrain_check_tier()
  _cvtrain_drop_missing(${name} ARG_SRCS)
  _cvtrain_drop_missing(${name} ARG_HDRS)
  if(NOT ARG_SRCS)
    return()
  endif()
  set(link_main)
  if(ARG_TIER STREQUAL "fuzz")
    if(CVTRAIN_FUZZ)
      set(link_main -fsanitize=fuzzer)
      # libFuzzer adds what it finds to the first folder; the others, ARGS, are where it starts.
      file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/corpus/${name})
      list(PREPEND ARG_ARGS -max_total_time=60 -timeout=10 -rss_limit_mb=2048
           ${CMAKE_BINARY_DIR}/corpus/${name})
    else()
      list(APPEND ARG_DEPS cvtrain::fuzz_replay)
    endif()
  else()
    list(APPEND ARG_DEPS GTest::gmock)
    if(NOT ARG_NO_MAIN)
      list(APPEND ARG_DEPS GTest::gmock_main)
    endif()
  endif()

  add_executable(${name} ${ARG_SRCS} ${ARG_HDRS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${CVTRAIN_WARNINGS})
  target_link_options(${name} PRIVATE ${link_main})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests
                        CVTRAIN_DATA "${ARG_DATA}" CVTRAIN_TIER ${ARG_TIER})
  _cvtrain_register(${name} test)
  if(CVTRAIN_SANITIZE STREQUAL "thread")
    # What it links is known when all folders have been read.
    cmake_language(EVAL CODE "cmake_language(DEFER DIRECTORY [[${CMAKE_SOURCE_DIR}]] CALL
      _cvtrain_add_test_if_pure ${name} ${ARG_TIER} ${ARG_TIMEOUT} [[${ARG_ENVIRONMENT}]]
      [[${CMAKE_BINARY_DIR}/tests/${name}]] [[${ARG_ARGS}]])")
  else()
    _cvtrain_add_test(${name} ${ARG_TIER} ${ARG_TIMEOUT} "${ARG_ENVIRONMENT}"
                      ${CMAKE_BINARY_DIR}/tests/${name} ${ARG_ARGS})
  endif()
endfunction()

function(_cvtrain_add_test_if_pure name tier timeout environment)
  get_target_property(pure ${name} CVTRAIN_PURE)
  if(pure)
    _cvtrain_add_test(${name} ${tier} ${timeout} "${environment}" ${ARGN})
  endif()
endfunction()

# A test that is a script: Python, or a shell. It is not part of sanitized builds. DATA names the
# targets that it needs, which scripts/test builds with everything else.
function(cvtrain_script_test name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "TIER;TIMEOUT" "COMMAND;DATA;ENVIRONMENT")
  _cvtrain_check_arguments("cvtrain_script_test(${name})")
  _cvtrain_check_tier()
  if(NOT CVTRAIN_SANITIZE AND NOT CVTRAIN_FUZZ)
    _cvtrain_add_test(${name} ${ARG_TIER} ${ARG_TIMEOUT} "${ARG_ENVIRONMENT}" ${ARG_COMMAND})
  endif()
endfunction()

# Sets `out` to whether tests of `tier` are part of this build: sanitized builds leave out those that
# start whole programs, and a build with libFuzzer has nothing but its own.
function(_cvtrain_has_tier tier out)
  set(${out} TRUE PARENT_SCOPE)
  if(CVTRAIN_SANITIZE AND NOT tier MATCHES "^(unit|simulation|fuzz)$")
    set(${out} FALSE PARENT_SCOPE)
  elseif(CVTRAIN_FUZZ AND NOT tier STREQUAL "fuzz")
    set(${out} FALSE PARENT_SCOPE)
  endif()
endfunction()

# Sets `out` to the libraries that `target` depends on, directly or through ours. `scope` is LINK or
# COMPILE: only those whose headers `target` sees, so not the PRIVATE_DEPS of others.
function(_cvtrain_dependencies target scope out)
  get_target_property(pending ${target} LINK_LIBRARIES)
  set(found)
  while(pending)
    list(POP_FRONT pending dep)
    if(dep MATCHES "^\\$<LINK_ONLY:(.*)>$")
      if(scope STREQUAL "COMPILE")
        continue()
      endif()
      set(dep ${CMAKE_MATCH_1})
    endif()
    if(dep IN_LIST found)
      continue()
    endif()
    list(APPEND found ${dep})
    if(TARGET ${dep} AND dep MATCHES "^cvtrain::|^[a-z_]+$")
      get_target_property(next ${dep} INTERFACE_LINK_LIBRARIES)
      if(next)
        list(APPEND pending ${next})
      endif()
    endif()
  endwhile()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

# Sets `out` to whether `target` links, directly or not, no library that starts threads of its own.
function(_cvtrain_is_pure target out)
  _cvtrain_dependencies(${target} LINK deps)
  list(FILTER deps INCLUDE REGEX "^(gRPC|RocksDB|LibTorch|prometheus-cpp)::")
  if(deps)
    set(${out} FALSE PARENT_SCOPE)
  else()
    set(${out} TRUE PARENT_SCOPE)
  endif()
endfunction()

# Links one target to `deps`; each is a target, or a library of the system without "::".
function(_cvtrain_link target scope)
  foreach(dep IN LISTS ARGN)
    if(dep MATCHES "::" AND NOT TARGET ${dep})
      _cvtrain_missing("${target}: there is no library ${dep}")
    else()
      target_link_libraries(${target} ${scope} ${dep})
    endif()
  endforeach()
endfunction()

# Compiles `target` faster: with the precompiled header that holds what it sees, a test also with
# little optimization.
function(_cvtrain_hasten target kind)
  get_target_property(tier ${target} CVTRAIN_TIER)
  set(test)
  if(kind STREQUAL "test" AND NOT tier STREQUAL "fuzz")
    set(test TEST)
    target_compile_options(${target} PRIVATE ${CVTRAIN_TEST_OPTIONS})
  endif()
  _cvtrain_dependencies(${target} COMPILE deps)
  cvtrain_precompile(${target} ${test} DEPS ${deps})
endfunction()

# Links every target to its dependencies; runs at the end of the root CMakeLists.txt.
function(_cvtrain_link_all)
  get_property(targets GLOBAL PROPERTY CVTRAIN_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(type ${target} TYPE)
    get_target_property(deps ${target} CVTRAIN_DEPS)
    get_target_property(private_deps ${target} CVTRAIN_PRIVATE_DEPS)
    get_target_property(data ${target} CVTRAIN_DATA)
    get_target_property(kind ${target} CVTRAIN_KIND)
    if(type STREQUAL "INTERFACE_LIBRARY")
      _cvtrain_link(${target} INTERFACE ${deps} ${private_deps})
    else()
      _cvtrain_link(${target} PUBLIC ${deps})
      _cvtrain_link(${target} PRIVATE ${private_deps})
    endif()
    foreach(item IN LISTS data)
      if(TARGET ${item})
        add_dependencies(${target} ${item})
      elseif(item)
        _cvtrain_missing("${target}: there is no target ${item}")
      endif()
    endforeach()
  endforeach()
  foreach(target IN LISTS targets)
    get_target_property(type ${target} TYPE)
    get_target_property(kind ${target} CVTRAIN_KIND)
    if(NOT type STREQUAL "INTERFACE_LIBRARY")
      _cvtrain_hasten(${target} ${kind})
    endif()
  endforeach()
  if(CVTRAIN_SANITIZE)
    # Builds tests, and what they need, and no more.
    foreach(target IN LISTS targets)
      _cvtrain_is_pure(${target} pure)
      set_target_properties(${target} PROPERTIES CVTRAIN_PURE ${pure})
      get_target_property(kind ${target} CVTRAIN_KIND)
      if(NOT kind STREQUAL "test" OR (CVTRAIN_SANITIZE STREQUAL "thread" AND NOT pure))
        set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
      endif()
    endforeach()
    set_target_properties(proto proto_grpc PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
endfunction()
cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL _cvtrain_link_all)
