# Finds what is not ours. Nothing is fetched here: scripts/setup installs it all.
#
# Names to link: absl::*, protobuf::libprotobuf, gRPC::grpc++, gRPC::grpc++_reflection,
# RocksDB::rocksdb-shared, prometheus-cpp::core, prometheus-cpp::pull, yaml-cpp, JPEG::JPEG,
# PNG::PNG, TIFF::TIFF, PkgConfig::WebP, PkgConfig::SndFile, PkgConfig::Mpg123, OpenSSL::SSL,
# OpenSSL::Crypto, ZLIB::ZLIB, EXPAT::EXPAT, CURL::libcurl,
# Threads::Threads, GTest::gmock, benchmark::benchmark,
# LibTorch::cpu. RapidJSON is headers only, and found as they are.

find_package(Threads REQUIRED)
if(CVTRAIN_SANITIZE STREQUAL "thread")
  # Debian's are not compiled for ThreadSanitizer; scripts/setup --tsan makes some that are.
  find_package(absl REQUIRED PATHS ${CVTRAIN_DEPS_DIR}/abseil-tsan NO_DEFAULT_PATH)
  set(Protobuf_INCLUDE_DIR ${CVTRAIN_DEPS_DIR}/protobuf-tsan/include)
  set(Protobuf_LIBRARY ${CVTRAIN_DEPS_DIR}/protobuf-tsan/lib/libprotobuf.a)
else()
  find_package(absl REQUIRED)
endif()
find_package(Protobuf REQUIRED)
find_package(gRPC REQUIRED)
find_package(RocksDB REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(TIFF REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(EXPAT REQUIRED)
find_package(CURL REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(WebP REQUIRED IMPORTED_TARGET GLOBAL libwebp libwebpdemux)
pkg_check_modules(SndFile REQUIRED IMPORTED_TARGET GLOBAL sndfile)
pkg_check_modules(Mpg123 REQUIRED IMPORTED_TARGET GLOBAL libmpg123)
find_package(benchmark REQUIRED)
if(BUILD_TESTING)
  find_package(GTest REQUIRED)
endif()

if(CVTRAIN_TRAINER STREQUAL "OFF")
  set(LibTorch_FOUND FALSE)
elseif(CVTRAIN_TRAINER STREQUAL "ON")
  find_package(LibTorch 2.11.0 EXACT REQUIRED)
else()
  find_package(LibTorch 2.11.0 EXACT)
endif()
# Whether folders that use LibTorch are part of this build.
set(CVTRAIN_HAS_TRAINER ${LibTorch_FOUND})

# The Python of the test tools, which scripts/setup installs.
set(CVTRAIN_PYTHON ${CMAKE_SOURCE_DIR}/.venv/bin/python)
