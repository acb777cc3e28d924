#ifndef CVTRAIN_PLAN_RECIPE_MESSAGE_READER_H_
#define CVTRAIN_PLAN_RECIPE_MESSAGE_READER_H_

#include <google/protobuf/message.h>

#include <map>
#include <string>
#include <vector>

#include "common/errors.h"
#include "plan/recipe/yaml_tree.h"

namespace cvtrain::plan {

// Turns a tree of text into a message. Internal to the folder.

// A violation with its place in the text.
struct ReadProblem {
  enum class Kind { kOther, kUnknownName };
  FieldViolation violation;
  int line = 0;  // 0: from an override, or the text as a whole
  Kind kind = Kind::kOther;
};

// Reads one tree into one message and collects everything that is wrong with it.
//
// Thread-compatible.
class MessageReader {
 public:
  // Fills `message`, which is empty. What is wrong is left out.
  void Read(const YamlNode& root, google::protobuf::Message& message);

  const std::vector<ReadProblem>& problems() const { return problems_; }

  // Line of each field that the text has, by path.
  const std::map<std::string, int>& lines() const { return lines_; }

 private:
  void ReadMessage(const YamlNode& node, const std::string& path,
                   google::protobuf::Message& message);
  void ReadField(const YamlNode& node, const std::string& path,
                 const google::protobuf::FieldDescriptor& field,
                 google::protobuf::Message& message);
  void ReadRepeated(const YamlNode& node, const std::string& path,
                    const google::protobuf::FieldDescriptor& field,
                    google::protobuf::Message& message);
  void ReadMap(const YamlNode& node, const std::string& path,
               const google::protobuf::FieldDescriptor& field, google::protobuf::Message& message);
  void ReadScalar(const YamlNode& node, const std::string& path,
                  const google::protobuf::FieldDescriptor& field,
                  google::protobuf::Message& message);

  void Report(int line, FieldViolation violation,
              ReadProblem::Kind kind = ReadProblem::Kind::kOther);

  std::vector<ReadProblem> problems_;
  std::map<std::string, int> lines_;
};

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_RECIPE_MESSAGE_READER_H_
