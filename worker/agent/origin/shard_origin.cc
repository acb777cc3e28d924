#include "worker/agent/origin/shard_origin.h"

#include "absl/strings/match.h"
#include "common/errors.h"

namespace cvtrain::worker {
namespace {

bool IsUrl(absl::string_view place) {
  return absl::StartsWith(place, "http://") || absl::StartsWith(place, "https://");
}

}  // namespace

absl::Status ValidateOrigin(absl::string_view place) {
  const auto bad = [](absl::string_view rule) {
    return InvalidArgument(Reason::kFieldInvalid, rule);
  };
  if (absl::StartsWith(place, "/")) return absl::OkStatus();
  if (!IsUrl(place)) return bad("must be an absolute directory, or begin with http:// or https://");
  const absl::string_view rest = place.substr(place.find("://") + 3);
  const absl::string_view host = rest.substr(0, rest.find('/'));
  if (host.empty()) return bad("a URL needs a host");
  if (absl::StrContains(host, '@')) return bad("a URL must have no user or password");
  if (rest.find_first_of("?#") != absl::string_view::npos) {
    return bad("a URL must have no query and no fragment: shards lie below it");
  }
  for (const char c : place) {
    if (c <= ' ' || c >= 0x7f) return bad("a URL has printable characters of ASCII only");
  }
  return absl::OkStatus();
}

std::unique_ptr<ShardOrigin> NewOrigin(FileSystem& files, const std::string& place) {
  if (IsUrl(place)) return NewHttpOrigin(place);
  return NewDirectoryOrigin(files, place);
}

}  // namespace cvtrain::worker
