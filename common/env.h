#ifndef CVTRAIN_COMMON_ENV_H_
#define CVTRAIN_COMMON_ENV_H_

#include <optional>
#include <string>

namespace cvtrain {

// The value of an environment variable, or nothing if it is not set. The only
// reader of the environment; called by main functions, never by libraries.
// Thread-safe as long as nobody changes the environment, and nobody does.
std::optional<std::string> GetEnv(const std::string& name);

// The folder that holds the running program, without a slash at its end; empty if the system does
// not say. Programs that ship together find each other by it.
std::string ProgramFolder();

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_ENV_H_
