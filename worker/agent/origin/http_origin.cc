#include <curl/curl.h>

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "worker/agent/origin/shard_origin.h"

namespace cvtrain::worker {
namespace {

constexpr long kConnectSeconds = 5;
// Slower than this for so long is no answer; nor is one that takes longer than at that speed.
constexpr long kBytesPerSecondMin = 64 << 10;
constexpr long kSilenceSeconds = 30;
constexpr long kReceiveBytes = 256 << 10;

constexpr long kOk = 200;
constexpr long kPartialContent = 206;
constexpr long kNotFound = 404;
constexpr long kGone = 410;
constexpr long kRangeNotSatisfiable = 416;  // the file is shorter

// Once in the life of a process, before the first handle.
void InitCurl() {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  CVT_CHECK(initialized == CURLE_OK) << curl_easy_strerror(initialized);
}

struct CloseHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using Handle = std::unique_ptr<CURL, CloseHandle>;

// One request: what libcurl calls back into.
class Request {
 public:
  Request(CURL* handle, const ContentKey& key, uint64_t offset, uint64_t length,
          const ByteSink& sink, const StopToken& stop)
      : handle_(handle), key_(key), offset_(offset), length_(length), sink_(sink), stop_(stop) {}

  // The handle must not keep what points here. Its connection stays.
  ~Request() { curl_easy_reset(handle_); }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  absl::Status Perform(const std::string& url);

 private:
  static size_t OnBytes(char* bytes, size_t, size_t count, void* self) {
    return static_cast<Request*>(self)->Take({bytes, count}) ? count : CURL_WRITEFUNC_ERROR;
  }
  // Called at least once a second.
  static int OnProgress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Request*>(self)->stop_.stop_requested() ? 1 : 0;
  }

  template <typename Value>
  void Set(CURLoption option, Value value) {
    const CURLcode set = curl_easy_setopt(handle_, option, value);
    CVT_CHECK(set == CURLE_OK) << "option " << option << ": " << curl_easy_strerror(set);
  }

  bool Take(absl::string_view piece);
  // What is wrong with an answer that has begun.
  absl::Status CheckAnswer() const;
  long Code() const {
    long code = 0;
    curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &code);
    return code;
  }
  // The length of the whole that a partial answer names; 0 if it names none.
  uint64_t WholeBytes() const;

  CURL* const handle_;
  const ContentKey& key_;
  const uint64_t offset_;
  const uint64_t length_;
  const ByteSink& sink_;
  const StopToken& stop_;
  std::array<char, CURL_ERROR_SIZE> problem_ = {};
  uint64_t received_ = 0;
  absl::Status refused_;  // why the rest was not wanted
};

absl::Status Request::Perform(const std::string& url) {
  const std::string range = absl::StrCat(offset_, "-", offset_ + length_ - 1);
  Set(CURLOPT_URL, url.c_str());
  Set(CURLOPT_PROTOCOLS_STR, "http,https");
  Set(CURLOPT_FOLLOWLOCATION, 0L);
  Set(CURLOPT_RANGE, range.c_str());
  Set(CURLOPT_USERAGENT, "cvtrain-worker");
  Set(CURLOPT_NOSIGNAL, 1L);
  Set(CURLOPT_BUFFERSIZE, kReceiveBytes);
  Set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  Set(CURLOPT_LOW_SPEED_LIMIT, kBytesPerSecondMin);
  Set(CURLOPT_LOW_SPEED_TIME, kSilenceSeconds);
  Set(CURLOPT_TIMEOUT,
      kConnectSeconds + kSilenceSeconds + static_cast<long>(length_) / kBytesPerSecondMin);
  Set(CURLOPT_ERRORBUFFER, problem_.data());
  Set(CURLOPT_WRITEFUNCTION, &Request::OnBytes);
  Set(CURLOPT_WRITEDATA, this);
  Set(CURLOPT_NOPROGRESS, 0L);
  Set(CURLOPT_XFERINFOFUNCTION, &Request::OnProgress);
  Set(CURLOPT_XFERINFODATA, this);

  const CURLcode performed = curl_easy_perform(handle_);
  if (stop_.stop_requested()) return Cancelled(Reason::kStopping, "the attempt is over");
  CVT_RETURN_IF_ERROR(refused_);
  if (performed != CURLE_OK) {
    const absl::string_view why =
        problem_[0] != '\0' ? problem_.data() : curl_easy_strerror(performed);
    return Unavailable(Reason::kServerUnreachable, absl::StrCat(url, ": ", why));
  }
  CVT_RETURN_IF_ERROR(CheckAnswer());
  if (received_ == length_) return absl::OkStatus();
  return Unavailable(Reason::kServerUnreachable,
                     absl::StrCat(url, ": the answer has ", received_, " of ", length_, " bytes"));
}

absl::Status Request::CheckAnswer() const {
  const long code = Code();
  if (code == kNotFound || code == kGone || code == kRangeNotSatisfiable) {
    return NotFound(Reason::kShardNotFound, absl::StrCat(key_.digest, ": HTTP ", code));
  }
  if (code == kOk && offset_ == 0 && length_ == key_.size_bytes) return absl::OkStatus();
  if (code == kOk) {
    return Unavailable(Reason::kServerUnreachable,
                       "HTTP 200 for a part of a file: the server must serve byte ranges");
  }
  if (code != kPartialContent) {
    return Unavailable(Reason::kServerUnreachable, absl::StrCat(key_.digest, ": HTTP ", code));
  }
  if (const uint64_t whole = WholeBytes(); whole != 0 && whole != key_.size_bytes) {
    return NotFound(Reason::kShardNotFound, absl::StrCat(key_.digest, " has ", whole,
                                                         " bytes, the shard ", key_.size_bytes));
  }
  return absl::OkStatus();
}

uint64_t Request::WholeBytes() const {
  curl_header* header = nullptr;
  if (curl_easy_header(handle_, "Content-Range", 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
    return 0;
  }
  const absl::string_view range = header->value;  // bytes 0-99/1234
  uint64_t whole = 0;
  const size_t slash = range.rfind('/');
  if (slash == absl::string_view::npos || !absl::SimpleAtoi(range.substr(slash + 1), &whole)) {
    return 0;
  }
  return whole;
}

bool Request::Take(absl::string_view piece) {
  if (received_ == 0) refused_ = CheckAnswer();
  if (refused_.ok() && piece.size() > length_ - received_) {
    refused_ = Unavailable(Reason::kServerUnreachable, "the server sends more than was asked for");
  }
  if (refused_.ok()) refused_ = sink_(piece);
  received_ += piece.size();
  return refused_.ok();
}

class HttpOrigin : public ShardOrigin {
 public:
  explicit HttpOrigin(std::string url) : url_(std::move(url)) { InitCurl(); }

  const std::string& name() const override { return url_; }

  absl::Status Fetch(const ContentKey& key, uint64_t offset, uint64_t length, const ByteSink& sink,
                     const StopToken& stop) override {
    if (length == 0) return absl::OkStatus();
    Handle handle = Take();
    const absl::Status fetched =
        Request(handle.get(), key, offset, length, sink, stop)
            .Perform(absl::StrCat(url_, url_.back() == '/' ? "" : "/", key.digest));
    absl::MutexLock lock(&mu_);
    idle_.push_back(std::move(handle));
    return fetched;
  }

 private:
  Handle Take() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (idle_.empty()) return Handle(curl_easy_init());
    Handle handle = std::move(idle_.back());
    idle_.pop_back();
    return handle;
  }

  const std::string url_;
  absl::Mutex mu_;
  // With their connections: no more than there were fetches at once.
  std::vector<Handle> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

std::unique_ptr<ShardOrigin> NewHttpOrigin(std::string url) {
  return std::make_unique<HttpOrigin>(std::move(url));
}

}  // namespace cvtrain::worker
