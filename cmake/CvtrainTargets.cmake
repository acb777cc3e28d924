# The functions that every CMakeLists.txt of this project is written with.
#
#   cvtrain_add_folders(FOLDER...)
#   cvtrain_library(NAME [SRCS ...] [HDRS ...] [DEPS ...] [PRIVATE_DEPS ...])
#   cvtrain_binary(NAME SRCS ... [DEPS ...])
#   cvtrain_test(NAME TIER tier SRCS ... [DEPS ...] [PRIVATE_DEPS ...] [DATA ...]
#                [ARGS ...] [TIMEOUT seconds] [NO_MAIN])
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

# Adds the subfolders that exist: a folder that holds no code of a build has no CMakeLists.txt.
function(cvtrain_add_folders)
  foreach(folder IN LISTS ARGN)
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt)
      add_subdirectory(${folder})
    endif()
  endforeach()
endfunction()

# Keeps `deps` for _cvtrain_link_all(), which runs when all folders have been read.
function(_cvtrain_register target kind)
  set_property(GLOBAL APPEND PROPERTY CVTRAIN_TARGETS ${target})
  set_property(TARGET ${target} PROPERTY CVTRAIN_KIND ${kind})
  set_property(TARGET ${target} PROPERTY CVTRAIN_DEPS ${ARG_DEPS})
  set_property(TARGET ${target} PROPERTY CVTRAIN_PRIVATE_DEPS ${ARG_PRIVATE_DEPS})
endfunction()

function(_cvtrain_check_arguments name)
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${name}: unknown arguments: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(ARG_KEYWORDS_MISSING_VALUES AND NOT "${ARG_KEYWORDS_MISSING_VALUES}" MATCHES
     "^(SRCS|HDRS|DEPS|PRIVATE_DEPS|DATA|ARGS|;)+$")
    message(FATAL_ERROR "${name}: no value for ${ARG_KEYWORDS_MISSING_VALUES}")
  endif()
endfunction()

# A library: one per folder, named like the folder (coordinator/state is coordinator_state), with
# the alias cvtrain::NAME. Without SRCS it is a library of headers.
function(cvtrain_library name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SRCS;HDRS;DEPS;PRIVATE_DEPS")
  _cvtrain_check_arguments("cvtrain_library(${name})")
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
  add_executable(${name} ${ARG_SRCS} ${ARG_HDRS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${CVTRAIN_WARNINGS})
  _cvtrain_register(${name} binary)
endfunction()

# A program of tests, which is one test of CTest, labelled with its tier.
#
# It runs in the root of the repository. DATA names what else must be built before it runs:
# programs that it starts. The environment has CVTRAIN_BIN_DIR, where those are.
# ARGS go on its command line. NO_MAIN: SRCS has a main() of its own; else it is GoogleTest's.
# A test of tier fuzz defines LLVMFuzzerTestOneInput and nothing else.
function(cvtrain_test name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "NO_MAIN" "TIER;TIMEOUT"
                        "SRCS;HDRS;DEPS;PRIVATE_DEPS;DATA;ARGS")
  _cvtrain_check_arguments("cvtrain_test(${name})")
  if(NOT ARG_TIER IN_LIST CVTRAIN_TIERS)
    message(FATAL_ERROR "cvtrain_test(${name}): TIER must be one of ${CVTRAIN_TIERS}, got "
                        "'${ARG_TIER}'")
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT ${CVTRAIN_TIMEOUT_${ARG_TIER}})
  endif()
  if(ARG_TIER STREQUAL "fuzz")
    if(CVTRAIN_FUZZ)
      set(link_main -fsanitize=fuzzer)
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
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests
    CVTRAIN_TIER ${ARG_TIER} CVTRAIN_TIMEOUT ${ARG_TIMEOUT}
    CVTRAIN_DATA "${ARG_DATA}" CVTRAIN_ARGS "${ARG_ARGS}")
  _cvtrain_register(${name} test)
  add_test(NAME ${name} COMMAND ${name} ${ARG_ARGS} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES
    LABELS ${ARG_TIER} TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "CVTRAIN_BIN_DIR=${CMAKE_BINARY_DIR}/bin;CVTRAIN_SOURCE_DIR=${CMAKE_SOURCE_DIR}")
endfunction()

# Links every target to its dependencies; runs at the end of the root CMakeLists.txt.
function(_cvtrain_link_all)
  get_property(targets GLOBAL PROPERTY CVTRAIN_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(type ${target} TYPE)
    get_target_property(data ${target} CVTRAIN_DATA)
    if(type STREQUAL "INTERFACE_LIBRARY")
      set(public INTERFACE)
      set(private INTERFACE)
    else()
      set(public PUBLIC)
      set(private PRIVATE)
    endif()
    foreach(kind IN ITEMS DEPS PRIVATE_DEPS)
      get_target_property(deps ${target} CVTRAIN_${kind})
      set(scope ${public})
      if(kind STREQUAL "PRIVATE_DEPS")
        set(scope ${private})
      endif()
      foreach(dep IN LISTS deps)
        if(dep MATCHES "::" AND NOT TARGET ${dep})
          message(WARNING "${target}: there is no library ${dep}")
        elseif(dep)
          target_link_libraries(${target} ${scope} ${dep})
        endif()
      endforeach()
    endforeach()
    foreach(item IN LISTS data)
      if(TARGET ${item})
        add_dependencies(${target} ${item})
      elseif(item)
        message(WARNING "${target}: there is no target ${item}")
      endif()
    endforeach()
  endforeach()
endfunction()
cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL _cvtrain_link_all)
