#include "worker/agent/origin/shard_origin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/memory_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/agent/origin/http_server.h"

namespace cvtrain::worker {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string& Content() {
  static const std::string content = [] {
    std::string bytes;
    for (int i = 0; i < 500'000; ++i) bytes.push_back(static_cast<char>(i * 7 + i / 256));
    return bytes;
  }();
  return content;
}

ContentKey Key() { return {.digest = std::string(64, 'a'), .size_bytes = Content().size()}; }

// What came, and how it ended.
struct Fetched {
  absl::Status status;
  std::string bytes;
};
Fetched Fetch(ShardOrigin& origin, uint64_t offset, uint64_t length,
              const StopToken& stop = StopToken()) {
  Fetched fetched;
  fetched.status = origin.Fetch(
      Key(), offset, length,
      [&](absl::string_view piece) {
        fetched.bytes.append(piece.data(), piece.size());
        return absl::OkStatus();
      },
      stop);
  return fetched;
}

TEST(ValidateOriginTest, TakesDirectoriesAndUrls) {
  for (const char* place : {"/mnt/shards", "http://host/shards", "https://host:8443/a/b/"}) {
    EXPECT_THAT(ValidateOrigin(place), IsOk()) << place;
  }
  for (const char* place :
       {"", "shards", "ftp://host/x", "http://", "http:///x", "http://me:secret@host/x",
        "http://host/x?y=1", "http://host/x#y", "http://host/a b", "file:///etc"}) {
    EXPECT_THAT(ValidateOrigin(place),
                StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")))
        << place;
  }
}

class DirectoryOriginTest : public ::testing::Test {
 protected:
  DirectoryOriginTest() {
    EXPECT_THAT(WriteFileAtomic(PosixFileSystem(), Path(), Content()), IsOk());
  }
  std::string Path() const { return JoinPath(directory_.path(), Key().digest); }

  const testing::TempDir directory_;
  const std::unique_ptr<ShardOrigin> origin_ = NewOrigin(PosixFileSystem(), directory_.path());
};

TEST_F(DirectoryOriginTest, DeliversTheRange) {
  const Fetched fetched = Fetch(*origin_, 1'000, 300'000);
  EXPECT_THAT(fetched.status, IsOk());
  EXPECT_EQ(fetched.bytes, Content().substr(1'000, 300'000));
}

TEST_F(DirectoryOriginTest, SaysWhatIsNotThereOrOfAnotherSize) {
  EXPECT_THAT(WriteFileAtomic(PosixFileSystem(), Path(), Content() + "x"), IsOk());
  EXPECT_THAT(Fetch(*origin_, 0, 10).status,
              AllOf(StatusIs(absl::StatusCode::kNotFound, Reason("SHARD_NOT_FOUND")),
                    Message(HasSubstr("500001 bytes"))));
  const auto gone = NewOrigin(PosixFileSystem(), directory_.path() + "/nowhere");
  EXPECT_THAT(Fetch(*gone, 0, 10).status,
              StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")));
  EXPECT_THAT(PosixFileSystem().Remove(Path()), IsOk());
  EXPECT_THAT(Fetch(*origin_, 0, 10).status,
              StatusIs(absl::StatusCode::kNotFound, Reason("SHARD_NOT_FOUND")));
}

TEST_F(DirectoryOriginTest, EndsWithTheSinkAndWhenItIsStopped) {
  EXPECT_THAT(
      origin_->Fetch(
          Key(), 0, 10, [](absl::string_view) { return absl::AbortedError("full"); }, StopToken()),
      StatusIs(absl::StatusCode::kAborted));
  StopSource stop;
  stop.request_stop();
  EXPECT_THAT(Fetch(*origin_, 0, 10, stop.get_token()).status,
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
}

// A server that has the content, unless a test says otherwise.
class HttpOriginTest : public ::testing::Test {
 protected:
  static std::string Whole() {
    return absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: ", Content().size(),
                        "\r\nConnection: close\r\n\r\n", Content());
  }
  static std::string Part(size_t first, size_t last, size_t total) {
    return absl::StrCat("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes ", first, "-", last,
                        "/", total, "\r\nContent-Length: ", last - first + 1,
                        "\r\nConnection: close\r\n\r\n", Content().substr(first, last - first + 1));
  }
  static std::string Empty(absl::string_view status) {
    return absl::StrCat("HTTP/1.1 ", status, "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  }
  Fetched Get(uint64_t offset, uint64_t length) {
    const auto origin = NewHttpOrigin(server_.url() + "/shards");
    return Fetch(*origin, offset, length);
  }

  HttpServer::Request last_;  // read after the answer
  std::function<std::string()> answer_ = Whole;
  HttpServer server_{[this](const HttpServer::Request& request) {
    last_ = request;
    return answer_();
  }};
};

TEST_F(HttpOriginTest, AsksForTheRangeAndDeliversIt) {
  answer_ = [] { return Part(1'000, 300'999, Content().size()); };
  const Fetched fetched = Get(1'000, 300'000);
  EXPECT_THAT(fetched.status, IsOk());
  EXPECT_EQ(fetched.bytes, Content().substr(1'000, 300'000));
  EXPECT_EQ(last_.path, "/shards/" + Key().digest);
  EXPECT_EQ(last_.range, "bytes=1000-300999");
}

TEST_F(HttpOriginTest, TakesAWholeAnswerWhereTheWholeWasAskedFor) {
  const Fetched fetched = Get(0, Content().size());
  EXPECT_THAT(fetched.status, IsOk());
  EXPECT_EQ(fetched.bytes, Content());
}

TEST_F(HttpOriginTest, RefusesAServerWithoutRanges) {
  const Fetched fetched = Get(10, 10);
  EXPECT_THAT(fetched.status, AllOf(StatusIs(absl::StatusCode::kUnavailable),
                                    Message(HasSubstr("must serve byte ranges"))));
  EXPECT_EQ(fetched.bytes, "") << "wrong bytes were delivered";
}

TEST_F(HttpOriginTest, SaysWhatIsNotThereOrOfAnotherSize) {
  answer_ = [] { return Empty("404 Not Found"); };
  EXPECT_THAT(Get(0, 10).status, StatusIs(absl::StatusCode::kNotFound, Reason("SHARD_NOT_FOUND")));
  answer_ = [] { return Part(0, 9, Content().size() + 1); };
  const Fetched other = Get(0, 10);
  EXPECT_THAT(other.status, StatusIs(absl::StatusCode::kNotFound, Reason("SHARD_NOT_FOUND")));
  EXPECT_EQ(other.bytes, "");
}

TEST_F(HttpOriginTest, DoesNotFollowElsewhere) {
  answer_ = [this] {
    return absl::StrCat("HTTP/1.1 302 Found\r\nLocation: ", server_.url(),
                        "/elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  };
  EXPECT_THAT(Get(0, 10).status,
              AllOf(StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")),
                    Message(HasSubstr("HTTP 302"))));
  EXPECT_EQ(server_.requests(), 1);
}

TEST_F(HttpOriginTest, SaysThatAServerFailedBrokeOffOrSentTooMuch) {
  answer_ = [] { return Empty("503 Service Unavailable"); };
  EXPECT_THAT(Get(0, 10).status,
              AllOf(StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")),
                    Message(HasSubstr("HTTP 503"))));
  answer_ = [] {
    std::string cut = Part(0, 9'999, Content().size());
    cut.resize(cut.size() - 100);
    return cut;
  };
  EXPECT_THAT(Get(0, 10'000).status,
              StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")));
  answer_ = [] { return Part(0, 9'999, Content().size()); };
  const Fetched more = Get(0, 10);
  EXPECT_THAT(more.status, StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")));
  EXPECT_LE(more.bytes.size(), 10u);
}

TEST_F(HttpOriginTest, SaysThatNobodyAnswers) {
  std::string url;
  {
    const HttpServer gone([](const HttpServer::Request&) { return std::string(); });
    url = gone.url();
  }
  const auto origin = NewHttpOrigin(url);
  EXPECT_THAT(Fetch(*origin, 0, 10).status,
              AllOf(StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")),
                    Message(HasSubstr(url))));
}

TEST_F(HttpOriginTest, EndsWithTheSinkAndWhenItIsStopped) {
  answer_ = [] { return Part(0, 9, Content().size()); };
  const auto origin = NewHttpOrigin(server_.url());
  EXPECT_THAT(
      origin->Fetch(
          Key(), 0, 10, [](absl::string_view) { return absl::AbortedError("full"); }, StopToken()),
      StatusIs(absl::StatusCode::kAborted));
  StopSource stop;
  stop.request_stop();
  EXPECT_THAT(Fetch(*origin, 0, 10, stop.get_token()).status,
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
}

}  // namespace
}  // namespace cvtrain::worker
