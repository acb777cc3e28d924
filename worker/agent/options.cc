#include "worker/agent/options.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/ids.h"
#include "worker/agent/origin/shard_origin.h"

namespace cvtrain::worker {
namespace {

constexpr uint64_t kCacheBytesMin = limits::kMib;
constexpr uint64_t kSpoolBytesMin = limits::kMib;

bool IsHostAndPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  return colon != std::string::npos && colon > 0 &&
         absl::SimpleAtoi(address.substr(colon + 1), &port) && port >= 0 && port <= 65'535;
}

}  // namespace

void AddFlags(Options& options, FlagSet& flags) {
  flags.String("coordinator", 0, &options.coordinator, "ADDRESS",
               "unix:/path, or host:port with --tls-ca, --tls-cert and --tls-key");
  flags.String("tls-ca", 0, &options.tls.ca, "FILE", "who signed the coordinator's certificate");
  flags.String("tls-cert", 0, &options.tls.cert, "FILE", "certificate of this worker");
  flags.String("tls-key", 0, &options.tls.key, "FILE", "its key");
  flags.String("state-dir", 0, &options.state_dir, "DIR",
               "where identity, reports and cache are kept");
  flags.String("name", 0, &options.name, "LABEL", "name of this worker (default: the host's)");
  flags.Int("gpus", 0, &options.gpus, -1, limits::kSlotsPerWorkerMax,
            "GPUs that become slots; -1: all");
  flags.Int("slots", 0, &options.slots, 0, limits::kSlotsPerWorkerMax,
            "slots on the CPU; 0: one for each core, or none where GPUs are slots");
  flags.Int("threads-per-slot", 0, &options.threads_per_slot, 1, 256, "compute threads of a rank");
  flags.Bytes("slot-memory", 0, &options.slot_memory,
              "memory of a slot on the CPU; 0: an even share of the machine's");
  flags.Bytes("cache-bytes", 0, &options.cache_bytes, "bound of the cache of data and checkpoints");
  flags.StringList("shards-from", 0, &options.shards_from, "PLACE",
                   "a directory or a URL where shards lie, called by their SHA-256, as in a "
                   "coordinator's shards/; asked in the order given, before the coordinator");
  flags.Bytes("spool-bytes", 0, &options.spool_bytes,
              "bound of the metrics and logs that wait for the coordinator; checkpoints, at most "
              "two of each trial, come on top");
  flags.String("trainer", 0, &options.trainer, "FILE",
               "the program cvtrain-trainer (default: beside this one)");
  flags.Duration("hang-timeout", 0, &options.hang_timeout,
                 "a rank without progress for so long is killed; 0: never");
  flags.Duration("grace", 0, &options.grace, "from SIGTERM to the end of ranks without checkpoint");
  flags.String("metrics-address", 0, &options.metrics_address, "HOST:PORT",
               "where /metrics is served; port 0: a free one; empty: nowhere");
  flags.String("collective-address", 0, &options.collective_address, "HOST",
               "address that collectives of trainers bind");
  flags.Choice("log-level", 0, &options.log_level, {"debug", "info", "warning", "error"},
               "lines below this level are not written");
}

absl::Status Validate(const Options& options) {
  std::vector<FieldViolation> violations;
  const auto check = [&](bool good, const char* field, std::string rule, std::string value) {
    if (!good) violations.push_back({field, std::move(rule), std::move(value)});
  };
  if (options.coordinator.empty()) {
    check(false, "--coordinator", "must be given: unix:/path or host:port", "");
  } else if (const absl::Status address = ValidateAddress(options.coordinator, options.tls);
             !address.ok()) {
    check(false, "--coordinator", std::string(address.message()), options.coordinator);
  }
  check(!options.state_dir.empty(), "--state-dir", "must be given", "");
  if (!options.name.empty()) {
    const absl::Status name = ValidateLabelName("--name", options.name);
    check(name.ok(), "--name", "must be 1 to 63 of a-z 0-9 . _ -", options.name);
  }
  check(options.slots >= 0 && options.slots <= limits::kSlotsPerWorkerMax, "--slots",
        absl::StrCat("must be from 0 to ", limits::kSlotsPerWorkerMax),
        absl::StrCat(options.slots));
  check(
      options.gpus >= -1 && std::max(options.gpus, 0) + options.slots <= limits::kSlotsPerWorkerMax,
      "--gpus",
      absl::StrCat("must be -1 or more, and with --slots at most ", limits::kSlotsPerWorkerMax),
      absl::StrCat(options.gpus));
  check(options.threads_per_slot >= 1 && options.threads_per_slot <= 256, "--threads-per-slot",
        "must be from 1 to 256", absl::StrCat(options.threads_per_slot));
  check(options.cache_bytes >= kCacheBytesMin, "--cache-bytes", "must be at least 1 MiB",
        absl::StrCat(options.cache_bytes));
  check(options.spool_bytes >= kSpoolBytesMin, "--spool-bytes", "must be at least 1 MiB",
        absl::StrCat(options.spool_bytes));
  for (const std::string& place : options.shards_from) {
    const absl::Status valid = ValidateOrigin(place);
    check(valid.ok(), "--shards-from", std::string(valid.message()), place);
  }
  check(options.hang_timeout >= absl::ZeroDuration(), "--hang-timeout", "must not be negative",
        absl::FormatDuration(options.hang_timeout));
  check(options.grace >= absl::ZeroDuration() && options.grace <= absl::Minutes(10), "--grace",
        "must be from 0 to 10m", absl::FormatDuration(options.grace));
  check(options.metrics_address.empty() || IsHostAndPort(options.metrics_address),
        "--metrics-address", "must be host:port, or empty", options.metrics_address);
  check(!options.collective_address.empty(), "--collective-address", "must not be empty", "");
  return FieldViolations(violations);
}

std::string LabelFromHostname(const std::string& hostname) {
  std::string label;
  for (const char c : hostname) {
    const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
    const bool plain = absl::ascii_isalnum(static_cast<unsigned char>(lower));
    if (!plain && (label.empty() || label.back() == '-')) continue;
    label.push_back(plain ? lower : '-');
    if (label.size() == limits::kLabelSizeBytesMax) break;
  }
  while (!label.empty() && label.back() == '-') label.pop_back();
  return label.empty() ? "worker" : label;
}

}  // namespace cvtrain::worker
