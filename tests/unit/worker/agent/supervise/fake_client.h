#ifndef CVTRAIN_TESTS_UNIT_WORKER_AGENT_SUPERVISE_FAKE_CLIENT_H_
#define CVTRAIN_TESTS_UNIT_WORKER_AGENT_SUPERVISE_FAKE_CLIENT_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "worker/agent/session/coordinator_client.h"

namespace cvtrain::worker {

// A coordinator that does what the test says: keeps unary calls until they are answered, and
// calls functions for transfers, which may run on any thread.
class FakeClient : public CoordinatorClient {
 public:
  template <typename Request, typename Response>
  struct Call {
    Request request;
    Callback<Response> done;
  };

  void ReportFacts(session::v1::ReportFactsRequest request,
                   Callback<session::v1::ReportFactsResponse> done) override {
    facts.push_back({std::move(request), std::move(done)});
  }
  void ReportMetrics(session::v1::ReportMetricsRequest request,
                     Callback<session::v1::ReportMetricsResponse> done) override {
    metrics.push_back({std::move(request), std::move(done)});
  }
  void ReportLogs(session::v1::ReportLogsRequest request,
                  Callback<session::v1::ReportLogsResponse> done) override {
    logs.push_back({std::move(request), std::move(done)});
  }
  void OpenStream(StreamListener&) override {}
  void SendOnStream(session::v1::ConnectRequest) override {}
  void CloseStream() override {}
  void AccessStore(session::v1::AccessStoreRequest,
                   Callback<session::v1::AccessStoreResponse>) override {}
  absl::Status UploadCheckpoint(const session::v1::UploadCheckpointHeader& header,
                                const Source& source, const StopToken& stop) override {
    return upload ? upload(header, source, stop) : absl::OkStatus();
  }
  absl::Status DownloadCheckpoint(const std::string& checkpoint, uint64_t offset, const Sink& sink,
                                  const StopToken& stop) override {
    return download ? download(checkpoint, offset, sink, stop) : absl::OkStatus();
  }
  absl::Status FetchShard(const std::string& digest, uint64_t offset, uint64_t length,
                          const Sink& sink, const StopToken& stop) override {
    if (!download) return absl::OkStatus();
    // What answers has no end: it stops at the end of the file.
    return download(
        digest, offset,
        [&, left = length](absl::string_view piece) mutable {
          piece = piece.substr(0, left);
          left -= piece.size();
          return piece.empty() ? absl::OkStatus() : sink(piece);
        },
        stop);
  }
  void Shutdown() override {}

  std::vector<Call<session::v1::ReportFactsRequest, session::v1::ReportFactsResponse>> facts;
  std::vector<Call<session::v1::ReportMetricsRequest, session::v1::ReportMetricsResponse>> metrics;
  std::vector<Call<session::v1::ReportLogsRequest, session::v1::ReportLogsResponse>> logs;

  // Set before the first transfer. Downloads are of shards, by digest, and of checkpoints.
  std::function<absl::Status(const session::v1::UploadCheckpointHeader&, const Source&,
                             const StopToken&)>
      upload;
  std::function<absl::Status(const std::string&, uint64_t, const Sink&, const StopToken&)> download;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_TESTS_UNIT_WORKER_AGENT_SUPERVISE_FAKE_CLIENT_H_
