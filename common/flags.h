#ifndef CVTRAIN_COMMON_FLAGS_H_
#define CVTRAIN_COMMON_FLAGS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace cvtrain {

// The flags of one program (or of one verb of it), which fill fields of an Options
// struct; the defaults are what the fields hold when they are declared.
//
//   FlagSet flags("cvtrain-worker [flags]", "Runs trials on this machine.");
//   flags.String("state-dir", 0, &options.state_dir, "DIR", "where the spool and the cache live");
//   flags.Bool("quiet", 'q', &options.quiet, "print ids only");
//   CVT_ASSIGN_OR_RETURN(FlagSet::Parsed parsed, flags.Parse(argc, argv));
//
// Reads --name=value, --name value, --flag, --no-flag, -q, -o value, -ovalue; "--" ends
// the flags; "_" in a flag's name reads as "-". Checks form only: whether values make
// sense together is Validate(options)'s business. Thread-compatible.
class FlagSet {
 public:
  struct Parsed {
    bool help = false;  // --help or -h was given; print Help() and exit 0
    std::vector<std::string> positional;
  };

  FlagSet(std::string usage, std::string about);

  // `short_name` 0: none. The pointers must stay valid until after Parse().
  void String(absl::string_view name, char short_name, std::string* value,
              absl::string_view placeholder, absl::string_view help);
  // May be repeated; each occurrence adds one.
  void StringList(absl::string_view name, char short_name, std::vector<std::string>* value,
                  absl::string_view placeholder, absl::string_view help);
  void Bool(absl::string_view name, char short_name, bool* value, absl::string_view help);
  // Any text that is a number from `min` to `max`, both included.
  void Int(absl::string_view name, char short_name, int64_t* value, int64_t min, int64_t max,
           absl::string_view help);
  void Int(absl::string_view name, char short_name, int* value, int min, int max,
           absl::string_view help);
  void Double(absl::string_view name, char short_name, double* value, double min, double max,
              absl::string_view help);
  // "90s", "1h30m"
  void Duration(absl::string_view name, char short_name, absl::Duration* value,
                absl::string_view help);
  // "512MiB"
  void Bytes(absl::string_view name, char short_name, uint64_t* value, absl::string_view help);
  // One of `choices`.
  void Choice(absl::string_view name, char short_name, std::string* value,
              const std::vector<std::string>& choices, absl::string_view help);

  // Everything after the first argument that is no flag is positional: for programs
  // with verbs.
  void StopAtFirstPositional() { stop_at_positional_ = true; }

  // Fills the fields. INVALID_ARGUMENT (USAGE) with every problem, one per line; an
  // unknown flag names the nearest ones. argv[0] is skipped. Fields may have changed
  // even then.
  absl::StatusOr<Parsed> Parse(int argc, const char* const* argv);
  absl::StatusOr<Parsed> Parse(const std::vector<std::string>& arguments);

  // True if the flag was given in the last Parse().
  bool WasGiven(absl::string_view name) const;

  // Usage, purpose, and each flag with placeholder, meaning and default.
  std::string Help() const;

  // Names of all flags, "--state-dir"; for completion.
  std::vector<std::string> Names() const;

 private:
  struct Flag {
    std::string name;
    char short_name = 0;
    std::string placeholder;  // "" for a Bool
    std::string help;
    std::string default_text;
    std::function<absl::Status(absl::string_view)> set;
    bool given = false;
  };

  void Add(absl::string_view name, char short_name, absl::string_view placeholder,
           absl::string_view help, std::string default_text,
           std::function<absl::Status(absl::string_view)> set);
  Flag* Find(absl::string_view name);
  Flag* FindShort(char short_name);
  size_t ParseLong(const std::vector<std::string>& arguments, size_t i,
                   std::vector<std::string>& problems);
  size_t ParseShort(const std::vector<std::string>& arguments, size_t i,
                    std::vector<std::string>& problems);

  const std::string usage_;
  const std::string about_;
  std::vector<Flag> flags_;  // in order of declaration
  bool stop_at_positional_ = false;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_FLAGS_H_
