#ifndef CVTRAIN_TESTS_SIMULATION_SIMULATED_COORDINATOR_H_
#define CVTRAIN_TESTS_SIMULATION_SIMULATED_COORDINATOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/engine/engine.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/context.h"
#include "tests/simulation/network.h"
#include "tests/simulation/simulated_disk.h"

namespace cvtrain::simulation {

// One coordinator: the real engine on a simulated disk, stepped as engine/loop does it, and what
// its services do around the engine, as far as state depends on it:
//
//   facts        DecideFacts(), as SessionService::ReportFacts
//   points       lease checked on durable state, then stored once by (stream, sequence)
//   checkpoints  lease, bytes, then DecideCommitCheckpoint(); bytes that no event names go when the
//                process starts
//   clients      commands with request ids and fingerprints, reads on durable state; a full disk
//                refuses new work
//
// Not here: gRPC, authentication and RocksDB. What a batch writes is durable when its sync is over,
// some milliseconds or seconds later; until then nothing leaves the process, and a crash may lose
// it. It also watches what the engine says: nothing newer than durable (D3), nothing accepted with
// a stale generation (S3), no silent worker kept (R3).
class SimulatedCoordinator : public Server {
 public:
  using Input = std::function<void(coordinator::Engine& engine, const coordinator::Instant& now)>;

  SimulatedCoordinator(Context& context, Checker& checker);

  void SetNetwork(Network* network) { network_ = network; }

  // --- Its life ---

  // Recovers from the disk; tries again later where that is refused.
  void Start();
  enum class End { kKilled, kPower, kInOrder };
  void Crash(End end);
  // Schedules its faults.
  void StartFaults();
  // Faults stop: the disk works, the process runs.
  void Heal();

  bool up() const override { return engine_ != nullptr; }
  int64_t starts() const { return starts_; }
  // Of a running one.
  const coordinator::Engine& engine() const { return *engine_; }
  coordinator::Instant Now() const;
  absl::Duration lease_duration() const;

  // --- Requests ---

  void OpenSession(SessionId session, const session::v1::Hello& hello) override;
  void OnMessage(SessionId session, const session::v1::ConnectRequest& message) override;
  void CloseSession(SessionId session) override;

  void ReportFacts(const session::v1::ReportFactsRequest& request,
                   Reply<session::v1::ReportFactsResponse> reply);
  void ReportMetrics(const session::v1::ReportMetricsRequest& request,
                     Reply<session::v1::ReportMetricsResponse> reply);
  void UploadCheckpoint(const session::v1::UploadCheckpointHeader& header,
                        Reply<session::v1::UploadCheckpointResponse> reply);
  // Answers the digest. CHECKPOINT_NOT_FOUND if its bytes are not there.
  void DownloadCheckpoint(const std::string& checkpoint, Reply<std::string> reply);
  void AccessStore(const session::v1::AccessStoreRequest& request,
                   Reply<session::v1::AccessStoreResponse> reply);

  struct ClientAnswer {
    coordinator::Answer answer;
    absl::Time time;  // of the state
  };
  // `frees`: it may use the last space of a disk.
  void Commit(coordinator::Command command, bool frees, Reply<ClientAnswer> reply);
  struct ClientLook {
    int64_t revision = 0;
    absl::Time time;
    absl::Status found = absl::OkStatus();
  };
  void Read(std::function<absl::Status(const coordinator::View&)> read, Reply<ClientLook> reply);
  // Bytes of weights that a client imports: stored before they are committed.
  void StoreBytes(const std::string& checkpoint, const std::string& digest);

  // --- Accounts ---

  // A trainer of this attempt has reported so many points in all.
  void PointsEmitted(const std::string& attempt, int64_t generation, int64_t points) {
    emitted_[{attempt, generation}] = points;
  }
  // Points of this attempt may be missing or double: its worker's disk was full.
  void ExcusePoints(const std::string& attempt, int64_t generation) {
    excused_.insert({attempt, generation});
  }
  // The latest time that any decision was made at: what is a day older may have been forgotten.
  absl::Time latest_time() const { return latest_time_; }
  // The highest revision that any answer has named.
  int64_t answered_revision() const { return answered_; }

 private:
  using AttemptGeneration = std::pair<std::string, int64_t>;
  struct Points {
    std::map<std::string, int64_t> streams;  // -> last sequence
    int64_t count = 0;
    int64_t last_step = -1;
  };

  void Post(Input input);
  void ScheduleTurn();
  void Turn();
  void Release();
  // What is to leave the process when the batch is durable.
  void Then(std::function<void()> effect) { effects_.push_back(std::move(effect)); }
  void CheckRevision(int64_t revision, absl::string_view what);
  void CheckLeases();
  void CheckAcknowledged(const session::v1::ReportFactsRequest& request);
  void CheckEndedPoints(const session::v1::ReportFactsRequest& request);
  bool IsStale(const std::string& worker, const std::string& attempt, int64_t generation) const;
  void Exit(Nanos restart_after);
  void LoseVolatile();
  void Every(Nanos mean, std::function<void()> fault);
  void TickLater(int64_t start);

  Context& context_;
  Checker& checker_;
  Network* network_ = nullptr;

  // Survives crashes.
  SimulatedDisk disk_;
  absl::Duration wall_step_;  // of its wall clock
  double drift_ = 0;
  std::map<std::string, std::string> bytes_;  // of checkpoints: name -> digest
  std::map<AttemptGeneration, Points> points_;
  std::map<AttemptGeneration, int64_t> emitted_;
  std::set<AttemptGeneration> excused_;
  int64_t answered_ = 0;
  absl::Time latest_time_ = absl::InfinitePast();
  int64_t starts_ = 0;
  bool crash_in_flush_ = false;  // the next one
  std::set<AttemptGeneration> assigned_;

  // Of the process.
  std::unique_ptr<SimulatedJournal> journal_;
  std::unique_ptr<coordinator::Engine> engine_;
  std::vector<std::pair<void*, Input>> inbox_;
  bool turn_scheduled_ = false;
  bool flushing_ = false;
  Nanos busy_until_ = 0;
  bool tick_due_ = false;
  absl::Duration started_;
  absl::Duration frozen_;
  std::vector<std::function<void()>> effects_;
  std::map<std::string, std::string> volatile_bytes_;  // only where a bug is planted
  std::vector<std::pair<AttemptGeneration, Points>> volatile_points_;  // what was there before
  std::map<std::string, absl::Duration> heard_;                        // of workers
  std::map<SessionId, std::string> session_workers_;
  int64_t events_at_check_ = 0;
};

}  // namespace cvtrain::simulation

#endif  // CVTRAIN_TESTS_SIMULATION_SIMULATED_COORDINATOR_H_
