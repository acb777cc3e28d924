#ifndef CVTRAIN_COORDINATOR_STATE_CANONICAL_BYTES_H_
#define CVTRAIN_COORDINATOR_STATE_CANONICAL_BYTES_H_

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>

#include <string>

namespace cvtrain::coordinator {

// A message as bytes, the same for equal messages: maps in order of their keys. What is stored and
// what is hashed.
inline std::string CanonicalBytes(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }  // the streams cut `bytes` to what was written
  return bytes;
}

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_CANONICAL_BYTES_H_
