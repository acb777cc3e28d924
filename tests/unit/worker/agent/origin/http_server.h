#ifndef CVTRAIN_TESTS_UNIT_WORKER_AGENT_ORIGIN_HTTP_SERVER_H_
#define CVTRAIN_TESTS_UNIT_WORKER_AGENT_ORIGIN_HTTP_SERVER_H_

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "common/unique_fd.h"

namespace cvtrain::worker {

// A web server on loopback that says what a test tells it to, one connection after the other.
// Each is closed after its answer.
class HttpServer {
 public:
  struct Request {
    std::string path;
    std::string range;  // of the header, such as `bytes=0-99`; empty if there is none
  };
  // The whole answer, from its status line on. Called on the server's thread.
  using Handler = std::function<std::string(const Request&)>;

  explicit HttpServer(Handler handler);
  ~HttpServer();

  // http://127.0.0.1:{port}
  std::string url() const;
  int requests() const { return requests_; }

 private:
  void Serve();
  void Answer(const UniqueFd& connection);

  const Handler handler_;
  UniqueFd listener_;
  int port_ = 0;
  std::atomic<int> requests_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_TESTS_UNIT_WORKER_AGENT_ORIGIN_HTTP_SERVER_H_
