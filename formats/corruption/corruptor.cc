#include "formats/corruption/corruptor.h"

#include <array>
#include <cstddef>

#include "common/status_macros.h"
#include "formats/corruption/groups.h"
#include "formats/corruption/strength.h"
#include "formats/corruption/workspace.h"

namespace cvtrain::formats {
namespace {

using Function = void (*)(Strength strength, PictureSpan picture, KeyedStream& stream,
                          Workspace& workspace);

// In the order of CorruptionKind, whose first is 1.
constexpr std::array<Function, kCorruptionKinds> kFunctions = {
    GaussianNoise,
    ShotNoise,
    ImpulseNoise,
    DefocusBlur,
    GlassBlur,
    MotionBlur,
    ZoomBlur,
    Snow,
    Fog,
    Brightness,
    Contrast,
    ElasticTransform,
    Pixelate,
    nullptr,  // jpeg_compression is the one that can
              // fail
    SpeckleNoise,
    GaussianBlur,
    Spatter,
    Saturate,
};

}  // namespace

Corruptor::Corruptor() : workspace_(std::make_unique<Workspace>()) {}
Corruptor::~Corruptor() = default;
Corruptor::Corruptor(Corruptor&&) noexcept = default;
Corruptor& Corruptor::operator=(Corruptor&&) noexcept = default;

absl::Status Corruptor::Apply(const Corruption& corruption, KeyedStream stream,
                              PictureSpan picture) {
  CVT_CHECK(picture.pixels.size() == picture.pixel_count() * 3);
  CVT_CHECK(picture.width >= kCorruptedSideMin && picture.height >= kCorruptedSideMin)
      << picture.width << "x" << picture.height;
  CVT_CHECK(corruption.severity >= 1 && corruption.severity <= 5) << corruption.severity;
  const Strength strength(corruption.levels, corruption.severity);
  if (corruption.kind == CorruptionKind::kJpegCompression) {
    return JpegCompression(strength, picture, *workspace_);
  }
  kFunctions[static_cast<size_t>(corruption.kind) - 1](strength, picture, stream, *workspace_);
  return absl::OkStatus();
}

}  // namespace cvtrain::formats
