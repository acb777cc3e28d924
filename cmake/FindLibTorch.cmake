# Finds LibTorch in the unpacked wheel ${CVTRAIN_DEPS_DIR}/torch, which scripts/setup put there.
#
#   LibTorch::cpu             what runs on a CPU, with c10d and its Gloo process group
#   LibTorch::cuda            the same and its CUDA part, for the module that is loaded for GPUs
#   LibTorch_CUDA_INCLUDE_DIR, LibTorch_LIBRARY_DIR   for that module
#
# The wheel's own find_package(Torch) asks for a CUDA toolkit, which building for a CPU does not
# need. What this file does instead:
#
# 1. Links libtorch_cpu.so and libc10.so, never libtorch.so, which would load CUDA.
# 2. Allows undefined symbols in shared libraries: libtorch_cpu.so names some that only the CUDA
#    libraries define, and nothing calls on a CPU.
# 3. Searches the wheel's headers after the system's (-idirafter): it carries Protobuf 3.13.
# 4. Takes Gloo's headers from Debian (only pointers to its types cross the border) and does not
#    link Debian's library: libtorch_cpu.so has Gloo inside.

set(_root ${CVTRAIN_DEPS_DIR}/torch)

find_path(LibTorch_INCLUDE_DIR torch/csrc/api/include/torch/torch.h
          PATHS ${_root}/torch/include NO_DEFAULT_PATH)
find_library(LibTorch_CPU_LIBRARY torch_cpu PATHS ${_root}/torch/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_LIBRARY c10 PATHS ${_root}/torch/lib NO_DEFAULT_PATH)
find_path(LibTorch_GLOO_INCLUDE_DIR gloo/context.h)

if(EXISTS ${_root}/torch/version.py)
  file(STRINGS ${_root}/torch/version.py _version REGEX "^__version__ = ")
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" LibTorch_VERSION "${_version}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
                LibTorch_GLOO_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "run scripts/setup, which puts it into ${_root}")
mark_as_advanced(LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
                 LibTorch_GLOO_INCLUDE_DIR)

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  set(LibTorch_LIBRARY_DIR ${_root}/torch/lib)
  add_library(LibTorch::c10 SHARED IMPORTED)
  set_target_properties(LibTorch::c10 PROPERTIES IMPORTED_LOCATION ${LibTorch_C10_LIBRARY})

  add_library(LibTorch::cpu SHARED IMPORTED)
  set_target_properties(LibTorch::cpu PROPERTIES IMPORTED_LOCATION ${LibTorch_CPU_LIBRARY})
  target_link_libraries(LibTorch::cpu INTERFACE LibTorch::c10 Threads::Threads)
  target_compile_definitions(LibTorch::cpu INTERFACE USE_DISTRIBUTED USE_C10D USE_C10D_GLOO
                             _GLIBCXX_USE_CXX11_ABI=1)
  target_compile_options(LibTorch::cpu INTERFACE
    "SHELL:-idirafter ${LibTorch_INCLUDE_DIR}"
    "SHELL:-idirafter ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include")
  target_link_options(LibTorch::cpu INTERFACE -Wl,--allow-shlib-undefined)
endif()

# CUDA: the wheel's own libraries and the runtime's header, which is all that our module is compiled
# against. What those libraries need in turn (cuBLAS, cuDNN, NCCL, ...) is there when it runs.
find_path(LibTorch_CUDA_INCLUDE_DIR cuda_runtime_api.h
          PATHS ${_root}/nvidia/cu13/include NO_DEFAULT_PATH)
find_library(LibTorch_TORCH_CUDA_LIBRARY torch_cuda PATHS ${_root}/torch/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_CUDA_LIBRARY c10_cuda PATHS ${_root}/torch/lib NO_DEFAULT_PATH)
find_library(LibTorch_CUDART_LIBRARY NAMES libcudart.so.13
             PATHS ${_root}/nvidia/cu13/lib NO_DEFAULT_PATH)
mark_as_advanced(LibTorch_CUDA_INCLUDE_DIR LibTorch_TORCH_CUDA_LIBRARY LibTorch_C10_CUDA_LIBRARY
                 LibTorch_CUDART_LIBRARY)
if(LibTorch_FOUND AND NOT TARGET LibTorch::cuda)
  add_library(LibTorch::cuda INTERFACE IMPORTED)
  target_link_libraries(LibTorch::cuda INTERFACE LibTorch::cpu ${LibTorch_TORCH_CUDA_LIBRARY}
                        ${LibTorch_C10_CUDA_LIBRARY} ${LibTorch_CUDART_LIBRARY})
endif()
