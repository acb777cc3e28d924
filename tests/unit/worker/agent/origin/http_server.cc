#include "tests/unit/worker/agent/origin/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status_macros.h"

namespace cvtrain::worker {

HttpServer::HttpServer(Handler handler)
    : handler_(std::move(handler)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  CVT_CHECK(::bind(listener_.get(), generic, size) == 0) << "bind";
  CVT_CHECK(::listen(listener_.get(), 8) == 0) << "listen";
  CVT_CHECK(::getsockname(listener_.get(), generic, &size) == 0) << "getsockname";
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Serve(); });
}

HttpServer::~HttpServer() {
  stop_ = true;
  thread_.join();
}

std::string HttpServer::url() const { return absl::StrCat("http://127.0.0.1:", port_); }

void HttpServer::Serve() {
  while (!stop_) {
    pollfd waiting = {.fd = listener_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, 20) <= 0) continue;
    Answer(UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
  }
}

void HttpServer::Answer(const UniqueFd& connection) {
  std::string text;
  std::array<char, 4096> piece;
  while (!absl::StrContains(text, "\r\n\r\n")) {
    const ssize_t got = ::recv(connection.get(), piece.data(), piece.size(), 0);
    if (got <= 0) return;
    text.append(piece.data(), static_cast<size_t>(got));
  }
  ++requests_;
  Request request;
  const std::vector<std::string> lines = absl::StrSplit(text, "\r\n");
  request.path = std::vector<std::string>(absl::StrSplit(lines[0], ' '))[1];
  for (const std::string& line : lines) {
    if (absl::StartsWithIgnoreCase(line, "range:")) {
      request.range = std::string(absl::StripAsciiWhitespace(line.substr(6)));
    }
  }
  const std::string answer = handler_(request);
  for (size_t sent = 0; sent < answer.size();) {
    const ssize_t count =
        ::send(connection.get(), answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return;
    sent += static_cast<size_t>(count);
  }
}

}  // namespace cvtrain::worker
