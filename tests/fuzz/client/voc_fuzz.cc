// An annotation of Pascal VOC, as one of two in a set.

#include <cstdint>
#include <string>

#include "client/dataset/fit_annotation.h"
#include "common/status_macros.h"
#include "formats/shard/annotation_rules.h"
#include "tests/unit/client/dataset/source_fixtures.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cvtrain;
  client::testing::SourceFiles source;
  source.Put("/v/Annotations/1.xml", std::string(reinterpret_cast<const char*>(data), size));
  source.Put("/v/Annotations/2.xml",
             client::testing::MakeVoc(20, 10, {client::testing::VocObject("a", 1, 1, 5, 5)}));
  for (const char* name : {"/v/JPEGImages/1.jpg", "/v/JPEGImages/2.jpg"}) source.Put(name, "x");
  const auto listing = source.List("voc", "/v");
  CVT_CHECK(listing.ok());  // the second one is good
  const auto classes = static_cast<uint32_t>(listing->classes.size());
  for (const auto& split : listing->splits) {
    for (const auto& sample : split.samples) {
      const auto fitted =
          client::FitAnnotation({.annotation = sample.annotation->annotation, .size = {}},
                                {.file = {20, 10}, .orientation = 6, .stored = {5, 10}}, classes);
      CVT_CHECK(fitted.ok());
      CVT_CHECK(formats::ProblemOf(fitted->annotation, {5, 10}, classes).empty());
    }
  }
  return 0;
}
