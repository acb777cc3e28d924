#ifndef CVTRAIN_COMMON_BUILD_INFO_H_
#define CVTRAIN_COMMON_BUILD_INFO_H_

#include <string>

namespace cvtrain {

// Which program this is. Immutable.
struct BuildInfo {
  std::string version;   // "0.1.0"
  std::string revision;  // of the source as of the last configuration: "1a2b3c4", "1a2b3c4-dirty";
                         // may be ""
  std::string compiler;  // "GNU 12.2.0"
  std::string type;      // "Release"
  // Equal in all binaries of one build: of version, revision, compiler, build
  // type and the private protocols between our own processes. Agent and trainer
  // refuse to work with another one.
  std::string build_id;  // 16 hexadecimal digits
};

const BuildInfo& GetBuildInfo();

// "cvtrain 0.1.0 (1a2b3c4, GNU 12.2.0, Release, build 0123456789abcdef)"
std::string VersionLine();

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_BUILD_INFO_H_
