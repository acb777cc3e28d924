#ifndef CVTRAIN_FORMATS_PICTURE_OPERATIONS_H_
#define CVTRAIN_FORMATS_PICTURE_OPERATIONS_H_

#include <cstdint>
#include <vector>

#include "formats/picture/picture_span.h"

namespace cvtrain::formats {

// Operations on the pixels of a picture, in place. Each gives the bytes of
// torchvision's function of the same name on a uint8 tensor (transforms
// .functional, version 0.15 or later), with the exceptions that are named here;
// tests/unit/formats/picture compares them. Arithmetic is in integers, or in
// floats whose every operation is rounded by itself, so the bytes are the same on
// every machine; angles go through the C library's sin and cos, and are rounded
// to 2^-32 of a pixel.
//
// Sizes are those of a batch: at least one pixel, sides within
// limits::kImageSideMax. Pure functions of their arguments; thread-safe for
// different pictures.

// --- Colour (color.cc) ---------------------------------------------------------

// ITU-R 601 luma, cut to whole levels: rgb_to_grayscale().
uint8_t Luma(uint8_t red, uint8_t green, uint8_t blue);

// Factors are at least 0. Mixes the picture with black, with its mean luma, with
// its own luma: adjust_brightness(), adjust_contrast(), adjust_saturation().
//
// The mean is a correctly rounded float; torchvision's is of a sum of floats, and
// in pictures of more than 65,793 pixels may differ in its last bit.
void AdjustBrightness(PictureSpan picture, double factor);
void AdjustContrast(PictureSpan picture, double factor);
void AdjustSaturation(PictureSpan picture, double factor);

// Turns the colour circle by `turn`, a share of it: -0.5 to 0.5: adjust_hue().
void AdjustHue(PictureSpan picture, double turn);

// --- Levels (levels.cc) --------------------------------------------------------

// Keeps the upper `bits` of each value, 0 to 8.
void Posterize(PictureSpan picture, int bits);
// Inverts the values from `threshold` on.
void Solarize(PictureSpan picture, double threshold);
void Invert(PictureSpan picture);
// Stretches each channel to 0..255; one of a single value stays.
void AutoContrast(PictureSpan picture);
// Evens out the histogram of each channel.
void Equalize(PictureSpan picture);

// --- Neighbourhoods (sharpness.cc, warp.cc) --------------------------------------

// `scratch` holds a copy of the picture meanwhile; keep it, so that it is not
// allocated each time.

// Mixes the picture with its blur (3 x 3, centre 5 of 13), except in its outermost
// pixels; pictures under 3 pixels in width or height stay: adjust_sharpness().
void AdjustSharpness(PictureSpan picture, double factor, std::vector<uint8_t>& scratch);

// Where the pixels of the result come from: output (x, y), with (0, 0) as the
// centre of the picture, is input (xx * x + xy * y + x0, yx * x + yy * y + y0), the
// nearest pixel of it, and black where that lies outside.
//
// Points that lie exactly between two pixels go to the right and lower one;
// torchvision's float32 leaves them to chance.
struct AffineMap {
  double xx = 1, xy = 0, x0 = 0;
  double yx = 0, yy = 1, y0 = 0;
};
void Warp(PictureSpan picture, const AffineMap& map, std::vector<uint8_t>& scratch);

// The maps of torchvision's policies. A shear is about the upper left corner of
// the picture, a rotation about its centre, counter-clockwise, in degrees.
AffineMap ShearXMap(double slope, int height);
AffineMap ShearYMap(double slope, int width);
AffineMap TranslationMap(double right, double down);
AffineMap RotationMap(double degrees);

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_PICTURE_OPERATIONS_H_
