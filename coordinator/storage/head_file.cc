#include "coordinator/storage/head_file.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "coordinator/storage/coding.h"

// Writing:
//   1. encode the mark with generation + 1
//   2. write it over the slot that does not hold the newest mark
//   3. sync
// A crash before 3 ends leaves that slot old, new or torn; the other slot is untouched, and its
// mark is older, which only means that less is checked. A mark is written after the sync of what it
// claims, so a mark that can be read is never ahead of the database.

namespace cvtrain::coordinator {
namespace {

constexpr absl::string_view kMagic = "CVTHEAD1";
constexpr size_t kClusterIdSize = 36;
constexpr size_t kSlotSize = 8 + 8 + 8 + 8 + 16 + kClusterIdSize + 4;
// Each slot has a page of its own: a torn page harms one.
constexpr uint64_t kSlotStride = 4096;

struct Slot {
  HeadMark mark;
  uint64_t generation = 0;
};

std::optional<Slot> DecodeSlot(absl::string_view bytes) {
  ByteReader reader(bytes);
  absl::string_view magic, chain, cluster_id;
  uint64_t revision = 0, sequence = 0;
  uint32_t crc = 0;
  Slot slot;
  if (!reader.ReadBytes(kMagic.size(), &magic) || magic != kMagic ||
      !reader.ReadBigEndian64(&slot.generation) || !reader.ReadBigEndian64(&revision) ||
      !reader.ReadBigEndian64(&sequence) || !reader.ReadBytes(slot.mark.chain.size(), &chain) ||
      !reader.ReadBytes(kClusterIdSize, &cluster_id) || !reader.ReadBigEndian32(&crc) ||
      crc != Crc32c(bytes.substr(0, kSlotSize - 4))) {
    return std::nullopt;
  }
  slot.mark.revision = static_cast<int64_t>(revision);
  slot.mark.sequence = static_cast<int64_t>(sequence);
  std::memcpy(slot.mark.chain.data(), chain.data(), chain.size());
  slot.mark.cluster_id = std::string(cluster_id);
  return slot;
}

}  // namespace

std::string EncodeHeadSlot(const HeadMark& mark, uint64_t generation) {
  CVT_CHECK(mark.cluster_id.size() == kClusterIdSize) << mark.cluster_id;
  std::string bytes(kMagic);
  AppendBigEndian64(generation, &bytes);
  AppendBigEndian64(static_cast<uint64_t>(mark.revision), &bytes);
  AppendBigEndian64(static_cast<uint64_t>(mark.sequence), &bytes);
  bytes.append(reinterpret_cast<const char*>(mark.chain.data()), mark.chain.size());
  bytes += mark.cluster_id;
  AppendBigEndian32(Crc32c(bytes), &bytes);
  return bytes;
}

absl::StatusOr<std::unique_ptr<HeadFile>> HeadFile::Create(FileSystem& files,
                                                           const std::string& path,
                                                           const HeadMark& mark) {
  std::string bytes(2 * kSlotStride, '\0');
  for (uint64_t generation : {0, 1}) {
    const std::string slot = EncodeHeadSlot(mark, generation);
    bytes.replace((generation % 2) * kSlotStride, slot.size(), slot);
  }
  CVT_RETURN_IF_ERROR(WriteFileAtomic(files, path, bytes, 0600));
  return Open(files, path);
}

absl::StatusOr<std::unique_ptr<HeadFile>> HeadFile::Open(FileSystem& files,
                                                         const std::string& path) {
  CVT_RETURN_IF_ERROR(files.Stat(path).status());
  CVT_ASSIGN_OR_RETURN(std::unique_ptr<ReadWriteFile> file, files.NewReadWriteFile(path));
  std::optional<Slot> newest;
  for (uint64_t index : {0, 1}) {
    std::string bytes(kSlotSize, '\0');
    CVT_ASSIGN_OR_RETURN(const size_t size,
                         file->ReadAt(index * kSlotStride, absl::MakeSpan(bytes)));
    std::optional<Slot> slot = DecodeSlot(absl::string_view(bytes).substr(0, size));
    if (slot && slot->generation % 2 == index &&
        (!newest || slot->generation > newest->generation)) {
      newest = std::move(slot);
    }
  }
  if (!newest) {
    return DataLoss(Reason::kJournalDamaged,
                    absl::StrCat(path, ": neither slot has its checksum; restore a backup"));
  }
  return std::unique_ptr<HeadFile>(new HeadFile(std::move(file), newest->mark, newest->generation));
}

absl::Status HeadFile::Write(const HeadMark& mark) {
  const uint64_t generation = generation_ + 1;
  CVT_RETURN_IF_ERROR(
      file_->WriteAt((generation % 2) * kSlotStride, EncodeHeadSlot(mark, generation)));
  CVT_RETURN_IF_ERROR(file_->Sync());
  mark_ = mark;
  generation_ = generation;
  return absl::OkStatus();
}

}  // namespace cvtrain::coordinator
