#ifndef CVTRAIN_WORKER_AGENT_SESSION_COORDINATOR_CLIENT_H_
#define CVTRAIN_WORKER_AGENT_SESSION_COORDINATOR_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/thread.h"
#include "cvtrain/session/v1/session.pb.h"

namespace cvtrain::worker {

// What an agent asks of its coordinator: the calls of
// cvtrain.session.v1.SessionService, without saying how they travel. It retries
// nothing and remembers nothing; whoever calls decides what a failure means.
//
// Errors are those of session.proto. Of the transport itself:
//   UNAVAILABLE (SERVER_UNREACHABLE)   nobody answers; the outcome is unknown
//   DEADLINE_EXCEEDED (DEADLINE)       no answer in time; the outcome is unknown
//   CANCELLED                          the stop token or Shutdown() ended the call
//
// Thread-safe. Callbacks run once each, on a thread of the implementation or the caller's;
// they must not block or call back in.
class CoordinatorClient {
 public:
  template <typename Response>
  using Callback = std::function<void(absl::StatusOr<Response>)>;

  // Hears one control stream.
  class StreamListener {
   public:
    virtual ~StreamListener() = default;
    // The stream is up; messages may be sent before, too.
    virtual void OnStreamOpened() = 0;
    virtual void OnStreamMessage(session::v1::ConnectResponse message) = 0;
    // The last call for a stream; `status` is an error. Does not come for a stream that
    // was closed from this side, after which nothing more comes of it.
    virtual void OnStreamClosed(absl::Status status) = 0;
  };

  // A piece of a download; an error ends the transfer with that error. The CRC of
  // the piece has been checked.
  using Sink = std::function<absl::Status(absl::string_view piece)>;
  // Bytes [offset, offset + size) of what is uploaded; valid until the next call.
  using Source = std::function<absl::StatusOr<absl::string_view>(uint64_t offset, size_t size)>;

  virtual ~CoordinatorClient() = default;

  // Opens the control stream; a stream that is still open is closed first. `listener`
  // must live until the end of Shutdown().
  virtual void OpenStream(StreamListener& listener) = 0;
  // Queues a message on the stream; dropped if there is none.
  virtual void SendOnStream(session::v1::ConnectRequest message) = 0;
  virtual void CloseStream() = 0;

  virtual void ReportFacts(session::v1::ReportFactsRequest request,
                           Callback<session::v1::ReportFactsResponse> done) = 0;
  virtual void ReportMetrics(session::v1::ReportMetricsRequest request,
                             Callback<session::v1::ReportMetricsResponse> done) = 0;
  virtual void ReportLogs(session::v1::ReportLogsRequest request,
                          Callback<session::v1::ReportLogsResponse> done) = 0;
  virtual void AccessStore(session::v1::AccessStoreRequest request,
                           Callback<session::v1::AccessStoreResponse> done) = 0;

  // These block; a stop ends them soon with CANCELLED.
  // Where `header.shared` is set and the coordinator can read that memory, `source` is not asked.
  virtual absl::Status UploadCheckpoint(const session::v1::UploadCheckpointHeader& header,
                                        const Source& source, const StopToken& stop) = 0;
  // DATA_LOSS (CHECKPOINT_BAD) if a piece does not have its CRC.
  virtual absl::Status DownloadCheckpoint(const std::string& checkpoint, uint64_t offset,
                                          const Sink& sink, const StopToken& stop) = 0;
  // `length` bytes, at least 1. DATA_LOSS (SHARD_BAD) if a piece does not have its CRC.
  virtual absl::Status FetchShard(const std::string& digest, uint64_t offset, uint64_t length,
                                  const Sink& sink, const StopToken& stop) = 0;

  // Cancels every call and the stream; returns when all callbacks have run. Later calls
  // fail with CANCELLED.
  virtual void Shutdown() = 0;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SESSION_COORDINATOR_CLIENT_H_
