#ifndef CVTRAIN_COORDINATOR_STATE_PROTO_TIME_H_
#define CVTRAIN_COORDINATOR_STATE_PROTO_TIME_H_

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>

#include "absl/time/time.h"

// Between absl's times and protobuf's. Timestamps keep whole nanoseconds; times outside the years
// that a Timestamp can say are not used.
namespace cvtrain::coordinator {

inline google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  google::protobuf::Timestamp timestamp;
  const int64_t seconds = absl::ToUnixSeconds(time);
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(
      static_cast<int32_t>((time - absl::FromUnixSeconds(seconds)) / absl::Nanoseconds(1)));
  return timestamp;
}

inline absl::Time FromTimestamp(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

inline google::protobuf::Duration ToDuration(absl::Duration duration) {
  google::protobuf::Duration message;
  const int64_t seconds = absl::ToInt64Seconds(duration);
  message.set_seconds(seconds);
  message.set_nanos(
      static_cast<int32_t>((duration - absl::Seconds(seconds)) / absl::Nanoseconds(1)));
  return message;
}

inline absl::Duration FromDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_PROTO_TIME_H_
