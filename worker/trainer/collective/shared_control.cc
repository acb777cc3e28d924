#include "worker/trainer/collective/shared_control.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "common/cores.h"
#include "common/errors.h"
#include "common/futex.h"
#include "common/status_macros.h"

namespace cvtrain::trainer {
namespace {

constexpr uint64_t kMagic = 0x6376'7472'6169'6e31;  // says that the memory is what it should be

// Looks at the memory before a core is given up: some 50 us where each rank has a core, next to
// nothing where they have to take turns.
constexpr int kSpinsAlone = 1'000;
constexpr int kSpinsCrowded = 20;
constexpr int kYields = 50;

// How long a rank sleeps before it looks after its peers.
constexpr absl::Duration kLookAfterPeers = absl::Milliseconds(100);

constexpr char kNone[] = "none";
constexpr size_t kPageBytes = 4096;

struct Offer {
  pid_t pid = 0;
  int fd = -1;
};

std::string OfferOf(int fd) { return absl::StrCat(PeerProcess::Self(), " ", fd); }

absl::StatusOr<Offer> ParseOffer(const std::string& text) {
  const std::vector<std::string> words = absl::StrSplit(text, ' ');
  Offer offer;
  if (words.size() != 2 || !absl::SimpleAtoi(words[0], &offer.pid) ||
      !absl::SimpleAtoi(words[1], &offer.fd)) {
    return Unavailable(Reason::kPeerGone, "a rank offers no shared memory");
  }
  return offer;
}

}  // namespace

struct SharedControl::Header {
  uint64_t magic;
  // Changes when somebody may have been waited for; how many sleep on it.
  alignas(64) std::atomic<uint32_t> changes;
  alignas(64) std::atomic<uint32_t> sleepers;
};

size_t SharedControl::BytesFor(int32_t world_size) {
  return sizeof(Header) +
         static_cast<size_t>(world_size) * (sizeof(Progress) + 2 * static_cast<size_t>(kAreaBytes));
}

SharedControl::Header& SharedControl::header() {
  return *reinterpret_cast<Header*>(memory_.mutable_bytes().data());
}

SharedControl::Progress& SharedControl::progress(int32_t rank) {
  return reinterpret_cast<Progress*>(memory_.mutable_bytes().data() + sizeof(Header))[rank];
}

char* SharedControl::area(int32_t rank, uint64_t which) {
  const size_t first = sizeof(Header) + static_cast<size_t>(world_size_) * sizeof(Progress);
  const size_t index = 2 * static_cast<size_t>(rank) + which;
  return memory_.mutable_bytes().data() + first + index * static_cast<size_t>(kAreaBytes);
}

absl::StatusOr<std::unique_ptr<SharedControl>> SharedControl::Create(
    int32_t rank, int32_t world_size, c10::intrusive_ptr<c10d::Store> store) {
  std::unique_ptr<SharedControl> control(new SharedControl(rank, world_size, std::move(store)));
  CVT_RETURN_IF_ERROR(control->Meet());
  return control;
}

SharedControl::~SharedControl() {
  if (memory_.size() == 0) return;
  own().left.store(1);
  Notify();
}

std::vector<std::string> SharedControl::Exchange(const std::string& key, const std::string& own) {
  const auto name = [&](int32_t rank) {
    return absl::StrCat("shared/", exchanges_, "/", key, "/", rank);
  };
  store_->set(name(rank_), std::vector<uint8_t>(own.begin(), own.end()));
  std::vector<std::string> all;
  for (int32_t rank = 0; rank < world_size_; ++rank) {
    const std::vector<uint8_t> bytes = store_->get(name(rank));
    all.emplace_back(bytes.begin(), bytes.end());
  }
  ++exchanges_;
  return all;
}

// In steps that all ranks take, whatever came out of the one before for each of them.
absl::Status SharedControl::Meet() {
  const std::string place = PeerProcess::Place();
  for (const std::string& other : Exchange("place", place)) {
    if (other != place) {
      return Unavailable(Reason::kPeerGone, "the ranks are on several machines, or users");
    }
  }
  // That of rank 0 is what they share; the others show that theirs could be opened too.
  auto own = SharedMemory::Create("cvtrain-ranks", rank_ == 0 ? BytesFor(world_size_) : kPageBytes);
  if (own.ok()) reinterpret_cast<Header*>(own->mutable_bytes().data())->magic = kMagic;
  const absl::Status opened =
      OpenPeers(Exchange("memory", own.ok() ? OfferOf(own->fd()) : std::string(kNone)));
  if (rank_ == 0 && opened.ok()) memory_ = *std::move(own);
  for (const std::string& other : Exchange("opened", opened.ok() ? "yes" : "no")) {
    if (other != "yes") {
      memory_ = SharedMemory();
      return opened.ok() ? Unavailable(Reason::kPeerGone, "another rank cannot open it") : opened;
    }
  }
  spins_ = world_size_ <= CoreCount() ? kSpinsAlone : kSpinsCrowded;
  return absl::OkStatus();
}

absl::Status SharedControl::OpenPeers(const std::vector<std::string>& offers) {
  for (int32_t rank = 0; rank < world_size_; ++rank) {
    CVT_ASSIGN_OR_RETURN(const Offer offer, ParseOffer(offers[static_cast<size_t>(rank)]));
    CVT_ASSIGN_OR_RETURN(PeerProcess peer, PeerProcess::Open(offer.pid));
    if (rank != rank_) {
      CVT_ASSIGN_OR_RETURN(UniqueFd file, peer.OpenFile(offer.fd));
      CVT_ASSIGN_OR_RETURN(SharedMemory memory,
                           SharedMemory::MapReadWrite(std::move(file), BytesFor(world_size_)));
      if (memory.size() != (rank == 0 ? BytesFor(world_size_) : kPageBytes) ||
          reinterpret_cast<const Header*>(memory.bytes().data())->magic != kMagic) {
        return Unavailable(Reason::kPeerGone, "a rank has something else open");
      }
      if (rank == 0) memory_ = std::move(memory);
    }
    peers_.push_back(std::move(peer));
  }
  return absl::OkStatus();
}

std::vector<SharedMemory> SharedControl::ShareMemory(const std::string& name, size_t size_bytes) {
  auto made = SharedMemory::Create(name, size_bytes);
  // The others must not wait for an offer that never comes.
  const std::vector<std::string> offers =
      Exchange(name, made.ok() ? OfferOf(made->fd()) : std::string(kNone));
  TORCH_CHECK_WITH(OutOfMemoryError, made.ok(), made.status().message());
  std::vector<SharedMemory> memories(static_cast<size_t>(world_size_));
  absl::Status status;
  for (int32_t rank = 0; rank < world_size_ && status.ok(); ++rank) {
    SharedMemory& memory = memories[static_cast<size_t>(rank)];
    if (rank == rank_) continue;
    const auto offer = ParseOffer(offers[static_cast<size_t>(rank)]);
    auto file = offer.ok() ? peers_[static_cast<size_t>(rank)].OpenFile(offer->fd)
                           : absl::StatusOr<UniqueFd>(offer.status());
    auto mapped = file.ok() ? SharedMemory::MapReadWrite(*std::move(file), size_bytes)
                            : absl::StatusOr<SharedMemory>(file.status());
    if (mapped.ok() && mapped->size() == size_bytes) {
      memory = *std::move(mapped);
    } else {
      status =
          mapped.ok() ? Unavailable(Reason::kPeerGone, "memory of another size") : mapped.status();
    }
  }
  TORCH_CHECK_WITH(DistBackendError, status.ok(),
                   "sharing memory with other ranks: ", status.message());
  memories[static_cast<size_t>(rank_)] = *std::move(made);
  return memories;
}

void SharedControl::Notify() {
  // Either who falls asleep sees the change, or we see that it sleeps.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (header().sleepers.load(std::memory_order_relaxed) == 0) return;
  header().changes.fetch_add(1, std::memory_order_release);
  FutexWakeAll(header().changes);
}

void SharedControl::AwaitAll(absl::FunctionRef<bool(const Progress&)> is_reached) {
  int32_t reached = 0;  // ranks before it are there, and never go back
  const auto all_reached = [&] {
    while (reached < world_size_ && is_reached(progress(reached))) ++reached;
    return reached == world_size_;
  };
  for (int i = 0; i < spins_; ++i) {
    if (all_reached()) return;
    CpuRelax();
  }
  for (int i = 0; i < kYields; ++i) {
    if (all_reached()) return;
    YieldCore();
  }
  while (true) {
    header().sleepers.fetch_add(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const uint32_t seen = header().changes.load(std::memory_order_acquire);
    const bool done = all_reached();
    if (!done) FutexWait(header().changes, seen, kLookAfterPeers);
    header().sleepers.fetch_sub(1, std::memory_order_relaxed);
    if (done || all_reached()) return;
    ThrowIfGone(is_reached);
  }
}

void SharedControl::ThrowIfGone(absl::FunctionRef<bool(const Progress&)> is_reached) {
  for (int32_t rank = 0; rank < world_size_; ++rank) {
    const PeerProcess& peer = peers_[static_cast<size_t>(rank)];
    const bool left = progress(rank).left.load() != 0;
    if (rank == rank_ || (!left && !peer.HasEnded())) continue;
    // What it did before it went counts.
    if (is_reached(progress(rank))) continue;
    C10_THROW_ERROR(DistBackendError, absl::StrCat("rank ", rank, " (process ", peer.pid(),
                                                   ") has ", left ? "left its attempt" : "ended"));
  }
}

}  // namespace cvtrain::trainer
