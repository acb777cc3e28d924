#include "worker/agent/cache/sparse_shard.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::worker {
namespace {

using formats::kShardBlockBytes;
using formats::ShardOutline;

// Missing blocks that nobody asked for come along where they lie between some that were: on any
// line, a few megabytes take less time than another request.
constexpr int64_t kGapBlocksMax = 4;

size_t Index(int64_t value) { return static_cast<size_t>(value); }

absl::StatusOr<std::string> ReadRange(const RandomAccessFile& file, int64_t offset,
                                      int64_t length) {
  std::string bytes(Index(length), '\0');
  CVT_ASSIGN_OR_RETURN(const size_t read,
                       file.Read(static_cast<uint64_t>(offset), absl::MakeSpan(bytes)));
  bytes.resize(read);
  return bytes;
}

// All of a range, in memory.
absl::StatusOr<std::string> FetchRange(const RangeFetch& fetch, uint64_t offset, uint64_t length) {
  std::string bytes;
  CVT_RETURN_IF_ERROR(fetch(offset, length, [&](absl::string_view piece) -> absl::Status {
    if (piece.size() > length - bytes.size()) {
      return DataLoss(Reason::kShardBad, "more bytes came than were asked for");
    }
    bytes.append(piece.data(), piece.size());
    return absl::OkStatus();
  }));
  if (bytes.size() == length) return bytes;
  return Unavailable(Reason::kPeerGone, absl::StrCat("the download ended after ", bytes.size(),
                                                     " of ", length, " bytes"));
}

}  // namespace

// Puts blocks together out of pieces, and writes those that have their CRC.
class SparseShard::BlockWriter {
 public:
  BlockWriter(SparseShard& shard, ReadWriteFile& file, const Run& run)
      : shard_(shard), file_(file), next_(run.begin), end_(run.end) {}

  absl::Status Append(absl::string_view piece) {
    while (!piece.empty()) {
      if (next_ == end_) {
        return DataLoss(Reason::kShardBad, "more bytes came than were asked for");
      }
      const size_t wanted = Index(shard_.outline_->BlockBytes(next_)) - block_.size();
      const absl::string_view part = piece.substr(0, wanted);
      block_.append(part.data(), part.size());
      piece.remove_prefix(part.size());
      if (part.size() == wanted) CVT_RETURN_IF_ERROR(Write());
    }
    return absl::OkStatus();
  }

  absl::Status Finish() const {
    if (next_ == end_) return absl::OkStatus();
    return Unavailable(Reason::kPeerGone,
                       absl::StrCat("the download ended before block ", next_, " was complete"));
  }

 private:
  absl::Status Write() {
    CVT_RETURN_IF_ERROR(formats::CheckBlock(*shard_.outline_, next_, block_, shard_.name_));
    CVT_RETURN_IF_ERROR(file_.WriteAt(static_cast<uint64_t>(next_ * kShardBlockBytes), block_));
    shard_.SetHere(next_);
    ++next_;
    block_.clear();
    return absl::OkStatus();
  }

  SparseShard& shard_;
  ReadWriteFile& file_;
  int64_t next_;
  const int64_t end_;
  std::string block_;
};

void SparseShard::SetOutline(ShardOutline outline) {
  here_.assign(Index(outline.blocks()), false);
  here_bytes_ = size_bytes_ - static_cast<uint64_t>(outline.footer_at);  // the footer
  outline_ = std::move(outline);
}

void SparseShard::SetHere(int64_t block) {
  if (here_[Index(block)]) return;
  here_[Index(block)] = true;
  here_bytes_ += static_cast<uint64_t>(outline_->BlockBytes(block));
}

absl::Status SparseShard::Recover(const RandomAccessFile& file) {
  outline_.reset();
  here_.clear();
  here_bytes_ = 0;
  CVT_ASSIGN_OR_RETURN(const std::string page, ReadRange(file, 0, formats::kShardPageBytes));
  if (page.size() < Index(formats::kShardPageBytes)) return absl::OkStatus();
  absl::StatusOr<ShardOutline> outline =
      formats::OutlineOfPage(page, static_cast<int64_t>(size_bytes_), name_);
  if (!outline.ok()) return absl::OkStatus();
  CVT_ASSIGN_OR_RETURN(
      const std::string footer,
      ReadRange(file, outline->footer_at, outline->file_bytes - outline->footer_at));
  if (!formats::AddFooter(footer, name_, *outline).ok()) return absl::OkStatus();
  SetOutline(*std::move(outline));
  for (int64_t block = 0; block < outline_->blocks(); ++block) {
    CVT_ASSIGN_OR_RETURN(const std::string bytes,
                         ReadRange(file, block * kShardBlockBytes, outline_->BlockBytes(block)));
    if (formats::CheckBlock(*outline_, block, bytes, name_).ok()) SetHere(block);
  }
  return absl::OkStatus();
}

uint64_t SparseShard::outline_bytes_max() const {
  return std::min(size_bytes_, uint64_t{2} * kShardBlockBytes);
}

absl::Status SparseShard::FetchOutline(ReadWriteFile& file, const RangeFetch& fetch) {
  // The first block comes whole: the index, which everybody needs, begins in it.
  CVT_ASSIGN_OR_RETURN(
      const std::string begin,
      FetchRange(fetch, 0, std::min(size_bytes_, static_cast<uint64_t>(kShardBlockBytes))));
  const absl::string_view page = absl::string_view(begin).substr(0, formats::kShardPageBytes);
  if (page.size() < Index(formats::kShardPageBytes)) {
    return DataLoss(Reason::kShardBad, absl::StrCat("shard ", name_, ": too short for a header"));
  }
  CVT_ASSIGN_OR_RETURN(ShardOutline outline,
                       formats::OutlineOfPage(page, static_cast<int64_t>(size_bytes_), name_));
  const auto footer_at = static_cast<uint64_t>(outline.footer_at);
  std::string footer;
  if (begin.size() == size_bytes_) {
    footer = begin.substr(footer_at);
  } else {
    CVT_ASSIGN_OR_RETURN(footer, FetchRange(fetch, footer_at, size_bytes_ - footer_at));
  }
  CVT_RETURN_IF_ERROR(formats::AddFooter(footer, name_, outline));
  const std::string first = begin.substr(0, Index(outline.BlockBytes(0)));
  CVT_RETURN_IF_ERROR(formats::CheckBlock(outline, 0, first, name_));
  // The footer goes first, so that the file has its size: who maps it may look anywhere.
  CVT_RETURN_IF_ERROR(file.WriteAt(footer_at, footer));
  CVT_RETURN_IF_ERROR(file.WriteAt(0, first));
  SetOutline(std::move(outline));
  SetHere(0);
  return absl::OkStatus();
}

absl::Status SparseShard::CheckSections(absl::Span<const int32_t> sections) const {
  for (const int32_t section : sections) {
    if (section < 0 || Index(section) >= outline_->sections.size()) {
      return InvalidArgument(Reason::kFieldInvalid,
                             absl::StrCat("section ", section, ": shard ", name_, " has ",
                                          outline_->sections.size(), " from 0 on"));
    }
  }
  return absl::OkStatus();
}

std::vector<SparseShard::Run> SparseShard::MissingRuns(absl::Span<const int32_t> sections) const {
  std::vector<bool> wanted(here_.size(), false);
  const auto want = [&](int64_t offset, int64_t length) {
    for (int64_t block = offset / kShardBlockBytes; block * kShardBlockBytes < offset + length;
         ++block) {
      wanted[Index(block)] = !here_[Index(block)];
    }
  };
  want(0, outline_->index_end);
  for (const int32_t section : sections) {
    const formats::ShardRecord::Extent& extent = outline_->sections[Index(section)];
    if (extent.length > 0) want(extent.offset, extent.length);
  }
  std::vector<Run> runs;
  for (int64_t block = 0; block < outline_->blocks(); ++block) {
    if (!wanted[Index(block)]) continue;
    const bool joins = !runs.empty() && block - runs.back().end <= kGapBlocksMax &&
                       std::none_of(here_.begin() + runs.back().end, here_.begin() + block,
                                    [](bool h) { return h; });
    if (joins) {
      runs.back().end = block + 1;
    } else {
      runs.push_back({.begin = block, .end = block + 1});
    }
  }
  return runs;
}

uint64_t SparseShard::BytesOf(const Run& run) const {
  const int64_t begin = run.begin * kShardBlockBytes;
  return static_cast<uint64_t>(std::min(run.end * kShardBlockBytes, outline_->footer_at) - begin);
}

uint64_t SparseShard::MissingBytes(absl::Span<const int32_t> sections) const {
  uint64_t bytes = 0;
  for (const Run& run : MissingRuns(sections)) bytes += BytesOf(run);
  return bytes;
}

absl::Status SparseShard::Fetch(ReadWriteFile& file, absl::Span<const int32_t> sections,
                                const RangeFetch& fetch) {
  for (const Run& run : MissingRuns(sections)) {
    BlockWriter writer(*this, file, run);
    CVT_RETURN_IF_ERROR(fetch(static_cast<uint64_t>(run.begin * kShardBlockBytes), BytesOf(run),
                              [&](absl::string_view piece) { return writer.Append(piece); }));
    CVT_RETURN_IF_ERROR(writer.Finish());
  }
  return absl::OkStatus();
}

}  // namespace cvtrain::worker
