#ifndef CVTRAIN_FORMATS_CORRUPTION_GROUPS_H_
#define CVTRAIN_FORMATS_CORRUPTION_GROUPS_H_

#include "absl/status/status.h"
#include "common/random.h"
#include "formats/corruption/strength.h"
#include "formats/corruption/workspace.h"
#include "formats/picture/picture_span.h"

// The corruptions, one function each, under the names of the paper. Internal to the folder; what is
// promised of all of them stands in corruptor.h.
namespace cvtrain::formats {

// --- noise.cc ------------------------------------------------------------------

void GaussianNoise(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace&);
void ShotNoise(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace& workspace);
void ImpulseNoise(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace&);
void SpeckleNoise(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace&);

// --- blur.cc, glass.cc -----------------------------------------------------------

void DefocusBlur(Strength strength, PictureSpan picture, KeyedStream&, Workspace& workspace);
void GlassBlur(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace& workspace);
void MotionBlur(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace& workspace);
void ZoomBlur(Strength strength, PictureSpan picture, KeyedStream&, Workspace& workspace);
void GaussianBlur(Strength strength, PictureSpan picture, KeyedStream&, Workspace& workspace);

// --- weather.cc, spatter.cc ------------------------------------------------------

void Snow(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace& workspace);
void Fog(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace& workspace);
void Brightness(Strength strength, PictureSpan picture, KeyedStream&, Workspace&);
void Spatter(Strength strength, PictureSpan picture, KeyedStream& stream, Workspace& workspace);

// --- digital.cc, elastic.cc ------------------------------------------------------

void Contrast(Strength strength, PictureSpan picture, KeyedStream&, Workspace&);
void ElasticTransform(Strength strength, PictureSpan picture, KeyedStream& stream,
                      Workspace& workspace);
void Pixelate(Strength strength, PictureSpan picture, KeyedStream&, Workspace& workspace);
void Saturate(Strength strength, PictureSpan picture, KeyedStream&, Workspace&);

// INTERNAL (OUT_OF_MEMORY).
absl::Status JpegCompression(Strength strength, PictureSpan picture, Workspace& workspace);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_CORRUPTION_GROUPS_H_
