#ifndef CVTRAIN_TESTS_SIMULATION_NETWORK_H_
#define CVTRAIN_TESTS_SIMULATION_NETWORK_H_

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/errors.h"
#include "coordinator/engine/session_table.h"
#include "cvtrain/session/v1/session.pb.h"
#include "tests/simulation/context.h"
#include "worker/agent/session/session.h"

namespace cvtrain::simulation {

using coordinator::SessionId;

template <typename Response>
using Reply = std::function<void(absl::StatusOr<Response>)>;

// The coordinator's side of the network.
class Server {
 public:
  virtual ~Server() = default;
  virtual bool up() const = 0;
  virtual void OpenSession(SessionId session, const session::v1::Hello& hello) = 0;
  virtual void OnMessage(SessionId session, const session::v1::ConnectRequest& message) = 0;
  virtual void CloseSession(SessionId session) = 0;
};

// Everything between the coordinator, which is node 0, and the others: workers from 1 on, then
// clients. Calls may be lost, doubled, delayed; streams keep their order, stall, and break, which
// each end finds out by itself, late. Whoever is paused gets everything when it goes on.
class Network {
 public:
  Network(Context& context, Server& server, int nodes);

  // Schedules partitions and clogs.
  void Start();
  // Faults stop.
  void Heal();

  // --- Nodes ---

  void Pause(int node, Nanos until) { nodes_[Place(node)].paused_until = until; }
  bool paused(int node) const { return nodes_[Place(node)].paused_until > context_.now(); }
  // Runs `action` at the node after `delay`, or when the node goes on.
  void At(int node, Nanos delay, EventQueue::Action action);
  // The process has died: its streams break, and so do calls if it is the coordinator. With
  // `silent`, nobody tells the other ends, as when the machine is gone.
  void CoordinatorDied(bool silent);
  void NodeDied(int node, bool silent);
  // Both ends find out, each in its time: a paused process answers no pings.
  void BreakStreams(int node);

  // --- Calls of workers and clients ---

  // `serve` runs at the coordinator: never, once or twice, perhaps after `done` has run. `done`
  // runs once at the node, with UNAVAILABLE (SERVER_UNREACHABLE) or DEADLINE_EXCEEDED (DEADLINE)
  // if no answer arrives.
  template <typename Response>
  void Call(int node, std::function<void(Reply<Response>)> serve, Reply<Response> done) {
    struct State {
      Reply<Response> done;
      bool answered = false;
    };
    auto state = std::make_shared<State>();
    state->done = std::move(done);
    const int64_t call = ++next_call_;
    const Nanos deadline = context_.now() + kDeadline;
    const auto finish = [this, node, call, state](Nanos delay, absl::StatusOr<Response> answer) {
      open_calls_.erase(call);
      At(node, delay, [state, answer = std::move(answer)]() mutable {
        if (std::exchange(state->answered, true)) return;
        std::exchange(state->done, nullptr)(std::move(answer));
      });
    };
    open_calls_[call] = [finish](Nanos delay, const absl::Status& status) {
      finish(delay, status);
    };
    const auto reply = [this, node, finish, deadline](absl::StatusOr<Response> answer) {
      const Nanos arrival = Travel(node, kDown, Fault::kResponseLost);
      if (arrival == kNever) {
        finish(std::max<Nanos>(0, deadline - context_.now()), NoAnswerInTime());
      } else {
        finish(arrival, std::move(answer));
      }
    };
    const Nanos arrival = Travel(node, kUp, Fault::kRequestLost);
    if (arrival == kNever) {
      finish(kDeadline, NoAnswerInTime());
    } else {
      Arrive(arrival, call, [serve, reply] { serve(reply); });
    }
    if (context_.Chance(context_.scenario.doubles * 0.2)) {
      context_.Injected(Fault::kRequestDoubled);
      const Nanos later = context_.Between(0, 40 * kSecond);
      At(0, later, [this, serve] {
        if (server_.up()) serve([](absl::StatusOr<Response>) {});
      });
    }
  }

  // --- Streams of workers ---

  using Listener = std::function<void(worker::SessionInput)>;

  // `listener` runs at the node; it hears StreamOpened, Received and StreamClosed.
  SessionId OpenStream(int node, Listener listener);
  void SendUp(SessionId stream, session::v1::ConnectRequest message);
  void SendDown(SessionId stream, session::v1::ConnectResponse message);
  void CloseFromNode(SessionId stream);
  void CloseFromServer(SessionId stream, const absl::Status& status);

 private:
  enum Direction { kUp = 0, kDown = 1 };
  static constexpr Nanos kNever = -1;
  static constexpr Nanos kDeadline = 30 * kSecond;

  struct Link {
    Nanos cut_until = 0;
    Nanos clogged_until = 0;
  };
  struct Node {
    std::array<Link, 2> links;
    Nanos paused_until = 0;
  };
  struct Stream {
    int node = 0;
    Listener listener;
    bool node_open = true;    // the node has not closed it and has not heard of its end
    bool server_open = true;  // the same at the server
    bool broken = false;
    std::array<Nanos, 2> last = {};  // arrival of what was sent last
  };

  static size_t Place(int node) { return static_cast<size_t>(node); }
  static absl::Status NoAnswerInTime() {
    return DeadlineExceeded(Reason::kDeadline, "no answer in time; the outcome is unknown");
  }
  static absl::Status Unreachable() {
    return Unavailable(Reason::kServerUnreachable, "nobody answers; the outcome is unknown");
  }

  bool IsCut(int node, Direction direction) const {
    return nodes_[Place(node)].links[direction].cut_until > context_.now();
  }
  // How long a packet takes.
  Nanos Delay(int node, Direction direction);
  // The same, or kNever if it is lost.
  Nanos Travel(int node, Direction direction, Fault loss);
  void Arrive(Nanos delay, int64_t call, EventQueue::Action serve);
  // When a message of a stream arrives: in order, and later where packets are lost. kNever if the
  // stream broke.
  Nanos Sequence(SessionId id, Stream& stream, Direction direction);
  void Break(SessionId id, Stream& stream);
  void TellNode(SessionId id, Nanos delay, const absl::Status& status);
  void TellServer(SessionId id, Nanos delay);
  void Forget(SessionId id);
  void Partition();
  void Clog();

  Context& context_;
  Server& server_;
  std::vector<Node> nodes_;
  int64_t next_call_ = 0;
  std::map<int64_t, std::function<void(Nanos, const absl::Status&)>> open_calls_;
  SessionId next_stream_ = 0;
  std::map<SessionId, Stream> streams_;
};

}  // namespace cvtrain::simulation

#endif  // CVTRAIN_TESTS_SIMULATION_NETWORK_H_
