#ifndef CVTRAIN_CLIENT_DATASET_XML_H_
#define CVTRAIN_CLIENT_DATASET_XML_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cvtrain::client {

// An element of an XML text, without its attributes. Thread-compatible.
struct Xml {
  std::string name;
  // What it holds besides other elements, without white space at both ends.
  std::string text;
  std::vector<Xml> children;

  // The first child of this name; null if there is none.
  const Xml* Find(absl::string_view child) const;
};

inline constexpr int kXmlDepthMax = 32;
inline constexpr int kXmlElementsMax = 200'000;

// Reads a document. One with a document type is refused: entities are a language of their own.
// Returns INVALID_ARGUMENT (DATA_BAD), with the line, if `text` is none; RESOURCE_EXHAUSTED
// (LIMIT_EXCEEDED) if it is deeper or has more elements than it may.
absl::StatusOr<Xml> ParseXml(absl::string_view text);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_XML_H_
