#include "tests/simulation/network.h"

#include <algorithm>

namespace cvtrain::simulation {

Network::Network(Context& context, Server& server, int nodes)
    : context_(context), server_(server), nodes_(static_cast<size_t>(nodes)) {}

void Network::Start() {
  if (context_.scenario.partition_every > 0) {
    context_.queue.After(context_.Exponential(context_.scenario.partition_every),
                         [this] { Partition(); });
  }
  if (context_.scenario.clog_every > 0) {
    context_.queue.After(context_.Exponential(context_.scenario.clog_every), [this] { Clog(); });
  }
}

void Network::Heal() {
  for (Node& node : nodes_) {
    for (Link& link : node.links) link = {};
    node.paused_until = std::min(node.paused_until, context_.now());
  }
}

void Network::At(int node, Nanos delay, EventQueue::Action action) {
  context_.queue.After(delay, [this, node, action = std::move(action)]() mutable {
    const Nanos until = nodes_[Place(node)].paused_until;
    if (until > context_.now()) {
      At(node, until - context_.now(), std::move(action));
    } else {
      action();
    }
  });
}

Nanos Network::Delay(int node, Direction direction) {
  Nanos delay = context_.Between(50'000, 100'000 + context_.scenario.delay_max);
  if (context_.Chance(context_.scenario.long_delays)) {
    context_.Injected(Fault::kLongDelay);
    delay += context_.Between(kSecond, 30 * kSecond);
  }
  if (nodes_[Place(node)].links[direction].clogged_until > context_.now()) {
    delay += context_.Between(0, 30 * kSecond);
  }
  return delay;
}

Nanos Network::Travel(int node, Direction direction, Fault loss) {
  if (IsCut(node, direction)) return kNever;
  if (context_.Chance(context_.scenario.loss)) {
    context_.Injected(loss);
    return kNever;
  }
  return Delay(node, direction);
}

void Network::Arrive(Nanos delay, int64_t call, EventQueue::Action serve) {
  At(0, delay, [this, call, serve = std::move(serve)] {
    if (server_.up()) return serve();
    const auto found = open_calls_.find(call);
    if (found == open_calls_.end()) return;
    const auto fail = found->second;
    fail(kMillisecond, Unreachable());
  });
}

void Network::CoordinatorDied(bool silent) {
  const Nanos late = silent ? 20 * kSecond : kSecond;
  const auto calls = open_calls_;
  for (const auto& [call, fail] : calls) fail(context_.Between(0, late), Unreachable());
  std::vector<SessionId> ids;
  for (const auto& [id, stream] : streams_) ids.push_back(id);
  for (const SessionId id : ids) {
    Stream& stream = streams_.at(id);
    stream.broken = true;
    stream.server_open = false;
    TellNode(id, context_.Between(0, late), Unreachable());
    Forget(id);
  }
}

void Network::NodeDied(int node, bool silent) {
  std::vector<SessionId> ids;
  for (const auto& [id, stream] : streams_) {
    if (stream.node == node) ids.push_back(id);
  }
  for (const SessionId id : ids) {
    Stream& stream = streams_.at(id);
    stream.broken = true;
    stream.node_open = false;
    TellServer(id, context_.Between(0, silent ? kMinute : kSecond));
    Forget(id);
  }
}

void Network::BreakStreams(int node) {
  for (auto& [id, stream] : streams_) {
    if (stream.node == node && !stream.broken) Break(id, stream);
  }
}

SessionId Network::OpenStream(int node, Listener listener) {
  const SessionId id = ++next_stream_;
  Stream& stream = streams_[id];
  stream.node = node;
  stream.listener = std::move(listener);
  if (IsCut(node, kUp) || IsCut(node, kDown)) {
    // Nothing is heard of it; the node gives up by itself.
    stream.broken = true;
    stream.server_open = false;
  } else if (!server_.up()) {
    stream.broken = true;
    stream.server_open = false;
    TellNode(id, context_.Between(kMillisecond, 50 * kMillisecond), Unreachable());
  } else {
    stream.last[kUp] = context_.now() + Delay(node, kUp);
    stream.last[kDown] = stream.last[kUp] + Delay(node, kDown);
    At(node, stream.last[kDown] - context_.now(), [this, id] {
      const auto found = streams_.find(id);
      if (found == streams_.end() || !found->second.node_open || found->second.broken) return;
      found->second.listener(worker::StreamOpened());
    });
  }
  return id;
}

Nanos Network::Sequence(SessionId id, Stream& stream, Direction direction) {
  if (stream.broken) return kNever;
  const double loss = context_.scenario.loss;
  if (IsCut(stream.node, direction) || context_.Chance(loss * 0.01)) {
    Break(id, stream);
    return kNever;
  }
  Nanos delay = Delay(stream.node, direction);
  if (context_.Chance(loss)) delay += context_.Between(200 * kMillisecond, 2 * kSecond);
  stream.last[direction] = std::max(stream.last[direction], context_.now() + delay);
  return stream.last[direction] - context_.now();
}

void Network::SendUp(SessionId id, session::v1::ConnectRequest message) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  const Nanos delay = Sequence(id, found->second, kUp);
  if (delay == kNever) return;
  At(0, delay, [this, id, message = std::move(message)] {
    const auto stream = streams_.find(id);
    if (stream == streams_.end() || !stream->second.server_open || !server_.up()) return;
    if (message.has_hello()) {
      server_.OpenSession(id, message.hello());
    } else {
      server_.OnMessage(id, message);
    }
  });
}

void Network::SendDown(SessionId id, session::v1::ConnectResponse message) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  const Nanos delay = Sequence(id, found->second, kDown);
  if (delay == kNever) return;
  At(found->second.node, delay, [this, id, message = std::move(message)]() mutable {
    const auto stream = streams_.find(id);
    if (stream == streams_.end() || !stream->second.node_open) return;
    stream->second.listener(worker::Received{std::move(message)});
  });
}

void Network::CloseFromNode(SessionId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  stream.node_open = false;
  if (stream.server_open) {
    TellServer(id, stream.broken || IsCut(stream.node, kUp)
                       ? context_.Between(20 * kSecond, kMinute)
                       : std::max<Nanos>(0, Sequence(id, stream, kUp)));
  }
  stream.broken = true;
  Forget(id);
}

void Network::CloseFromServer(SessionId id, const absl::Status& status) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  stream.server_open = false;
  const Nanos delay = Sequence(id, stream, kDown);
  if (delay == kNever) {
    TellNode(id, context_.Between(10 * kSecond, 30 * kSecond), Unreachable());
  } else {
    TellNode(id, delay, status);
  }
  Forget(id);
}

void Network::Break(SessionId id, Stream& stream) {
  context_.Injected(Fault::kStreamBroken);
  stream.broken = true;
  if (stream.node_open) TellNode(id, context_.Between(0, 30 * kSecond), Unreachable());
  // The server may never find out: then the next session of the worker replaces this one.
  if (stream.server_open && context_.random.Bernoulli(0.8)) {
    TellServer(id, context_.Between(0, kMinute));
  }
}

void Network::TellNode(SessionId id, Nanos delay, const absl::Status& status) {
  At(streams_.at(id).node, delay, [this, id, status] {
    const auto found = streams_.find(id);
    if (found == streams_.end() || !std::exchange(found->second.node_open, false)) return;
    found->second.listener(worker::StreamClosed{status});
    Forget(id);
  });
}

void Network::TellServer(SessionId id, Nanos delay) {
  At(0, delay, [this, id] {
    const auto found = streams_.find(id);
    if (found == streams_.end() || !std::exchange(found->second.server_open, false)) return;
    if (server_.up()) server_.CloseSession(id);
    Forget(id);
  });
}

void Network::Forget(SessionId id) {
  const auto found = streams_.find(id);
  if (found != streams_.end() && !found->second.node_open && !found->second.server_open) {
    streams_.erase(found);
  }
}

void Network::Partition() {
  if (!context_.faults_on) return;
  const Nanos until = context_.now() + context_.Between(kSecond, context_.scenario.partition_max);
  const bool one_way = context_.random.Bernoulli(0.3);
  const Direction direction = context_.random.Bernoulli(0.5) ? kUp : kDown;
  const auto cut = [&](size_t node) {
    for (const Direction each : {kUp, kDown}) {
      if (one_way && each != direction) continue;
      Nanos& cut_until = nodes_[node].links[each].cut_until;
      cut_until = std::max(cut_until, until);
    }
  };
  if (one_way) context_.Injected(Fault::kPartitionOneWay);
  switch (context_.random.UniformInt(3)) {
    case 0:
      context_.Injected(Fault::kPartitionSingle);
      cut(1 + context_.Index(nodes_.size() - 1));
      break;
    case 1:
      context_.Injected(Fault::kPartitionHalves);
      for (size_t node = 1; node < nodes_.size(); ++node) {
        if (context_.random.Bernoulli(0.5)) cut(node);
      }
      break;
    default:
      context_.Injected(Fault::kPartitionCoordinator);
      for (size_t node = 1; node < nodes_.size(); ++node) cut(node);
  }
  context_.queue.After(context_.Exponential(context_.scenario.partition_every),
                       [this] { Partition(); });
}

void Network::Clog() {
  if (!context_.faults_on) return;
  context_.Injected(Fault::kClog);
  Node& node = nodes_[1 + context_.Index(nodes_.size() - 1)];
  const Nanos until = context_.now() + context_.Between(kSecond, 5 * kMinute);
  node.links[context_.random.UniformInt(2)].clogged_until = until;
  context_.queue.After(context_.Exponential(context_.scenario.clog_every), [this] { Clog(); });
}

}  // namespace cvtrain::simulation
