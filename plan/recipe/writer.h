#ifndef CVTRAIN_PLAN_RECIPE_WRITER_H_
#define CVTRAIN_PLAN_RECIPE_WRITER_H_

#include <string>

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace cvtrain::plan {

// Writes a message as the YAML that ReadMessage() reads back as the same
// message. Block style, two spaces, fields in the order of the proto; numbers
// in the shortest spelling that reads back; lists of scalars on one line. Text
// is quoted where YAML needs it, and control characters are escaped, so the
// result is safe on a terminal. Fields that are not set are left out. Points in time
// (RFC 3339) and spans ("1m30s"), which no recipe has, are written for people, and
// ReadMessage() does not read them.
std::string WriteYaml(const google::protobuf::Message& message);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_WRITER_H_
