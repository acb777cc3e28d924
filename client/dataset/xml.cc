#include "client/dataset/xml.h"

#include <expat.h>

#include <limits>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

// What the parser, which does not recurse, calls.
struct Builder {
  XML_Parser parser;
  Xml root;
  // From the root to the innermost element that is open. An element moves only when one is added
  // beside it, and then it is not open.
  std::vector<Xml*> open;
  int elements = 0;
  absl::Status status;

  void Fail(absl::Status problem) {
    if (status.ok()) status = std::move(problem);
    XML_StopParser(parser, XML_FALSE);
  }
};

void XMLCALL Start(void* user, const XML_Char* name, const XML_Char**) {
  Builder& builder = *static_cast<Builder*>(user);
  if (static_cast<int>(builder.open.size()) == kXmlDepthMax) {
    return builder.Fail(
        LimitExceeded("kXmlDepthMax", absl::StrCat("xml: deeper than ", kXmlDepthMax)));
  }
  if (++builder.elements > kXmlElementsMax) {
    return builder.Fail(LimitExceeded(
        "kXmlElementsMax", absl::StrCat("xml: more than ", kXmlElementsMax, " elements")));
  }
  Xml* element =
      builder.open.empty() ? &builder.root : &builder.open.back()->children.emplace_back();
  element->name = name;
  builder.open.push_back(element);
}

void XMLCALL End(void* user, const XML_Char*) {
  Builder& builder = *static_cast<Builder*>(user);
  absl::StripAsciiWhitespace(&builder.open.back()->text);
  builder.open.pop_back();
}

void XMLCALL Characters(void* user, const XML_Char* text, int length) {
  Builder& builder = *static_cast<Builder*>(user);
  builder.open.back()->text.append(text, static_cast<size_t>(length));
}

void XMLCALL DocumentType(void* user, const XML_Char*, const XML_Char*, const XML_Char*, int) {
  static_cast<Builder*>(user)->Fail(
      InvalidArgument(Reason::kDataBad, "xml: must have no document type"));
}

}  // namespace

const Xml* Xml::Find(absl::string_view child) const {
  for (const Xml& one : children) {
    if (one.name == child) return &one;
  }
  return nullptr;
}

absl::StatusOr<Xml> ParseXml(absl::string_view text) {
  if (text.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    return LimitExceeded("size_bytes_max", "xml: too long");
  }
  const std::unique_ptr<std::remove_pointer_t<XML_Parser>, void (*)(XML_Parser)> parser(
      XML_ParserCreate(nullptr), XML_ParserFree);
  if (parser == nullptr) return Internal(Reason::kOutOfMemory, "xml: no memory");
  Builder builder;
  builder.parser = parser.get();
  XML_SetUserData(parser.get(), &builder);
  XML_SetElementHandler(parser.get(), Start, End);
  XML_SetCharacterDataHandler(parser.get(), Characters);
  XML_SetStartDoctypeDeclHandler(parser.get(), DocumentType);
  const XML_Status parsed =
      XML_Parse(parser.get(), text.data(), static_cast<int>(text.size()), XML_TRUE);
  CVT_RETURN_IF_ERROR(builder.status);
  if (parsed == XML_STATUS_OK) return std::move(builder.root);
  return InvalidArgument(Reason::kDataBad,
                         absl::StrCat("xml: line ", XML_GetCurrentLineNumber(parser.get()), ": ",
                                      XML_ErrorString(XML_GetErrorCode(parser.get()))));
}

}  // namespace cvtrain::client
