#ifndef CVTRAIN_TESTS_UNIT_FORMATS_SHARD_BAD_SHARDS_H_
#define CVTRAIN_TESTS_UNIT_FORMATS_SHARD_BAD_SHARDS_H_

#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/unit/formats/shard/shard_fixtures.h"

namespace cvtrain::formats::testing {

// `name` says what was done; `bytes` are what is left of `original`.
using BadShardVisitor = std::function<void(const std::string& name, absl::string_view bytes,
                                           const ShardFixture& original)>;

// Calls `visit` with damaged and lying shards, one after the other: every byte of header, records
// and footer turned, each block hit, each field with other values under right digests, cut, grown,
// with pages swapped, and mixed from two shards. No two have one name. A function of the fixtures.
void ForEachBadShard(const BadShardVisitor& visit);

}  // namespace cvtrain::formats::testing

#endif  // CVTRAIN_TESTS_UNIT_FORMATS_SHARD_BAD_SHARDS_H_
