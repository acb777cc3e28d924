#ifndef CVTRAIN_FORMATS_CORRUPTION_CORRUPTOR_H_
#define CVTRAIN_FORMATS_CORRUPTION_CORRUPTOR_H_

#include <memory>

#include "absl/status/status.h"
#include "common/random.h"
#include "formats/corruption/corruption.h"
#include "formats/picture/picture_span.h"

namespace cvtrain::formats {

struct Workspace;

// Corrupts pictures in place, with the numbers that ImageNet-C and CIFAR-10-C were made with:
// make_imagenet_c.py and make_cifar_c.py in ImageNet-C/create_c of github.com/hendrycks/robustness.
//
// What differs from those programs:
//
//   - Sizes. They are written for 224 and for 32 pixels. Here every size works, as in the package
//     imagecorruptions (github.com/bethgelab/imagecorruptions): fog is cut out of the smallest
//     fractal of 2^n pixels that covers the picture, zooms cut each side by itself, pixelate
//     shrinks each side by its factor, glass blur and spatter walk over what is there. Blurs and
//     the zoom of snow stay what they are in pixels. Elastic transform is in proportion to the
//     shorter side, as make_cifar_c.py has it (that package has another one).
//   - Random numbers come from the given stream. So a picture is one of those that the program
//   could
//     have made, not the one that is in the published files.
//   - The published files of ImageNet-C were stored as JPEG of quality 85 afterwards. These are
//   not.
//   - The computation is in float32; a value that is a whole level but for rounding is that level.
//     Where tests/unit/formats/corruption compares bytes, they differ by at most one level.
//
// The same bytes on every machine, up to the C library's exp, sin and cos, in which blurs, motion
// and the tables of shot noise begin, and the version of libjpeg-turbo.
//
// Keeps its buffers from picture to picture: about 16 bytes for each value. Thread-compatible: one
// per thread.
class Corruptor {
 public:
  Corruptor();
  ~Corruptor();
  Corruptor(Corruptor&&) noexcept;
  Corruptor& operator=(Corruptor&&) noexcept;

  // Both sides of `picture` must be at least kCorruptedSideMin, the severity one that exists.
  // Random corruptions draw from `stream`, the others leave it alone. INTERNAL (OUT_OF_MEMORY) if
  // libjpeg has no memory, in jpeg_compression only.
  absl::Status Apply(const Corruption& corruption, KeyedStream stream, PictureSpan picture);

 private:
  std::unique_ptr<Workspace> workspace_;
};

}  // namespace cvtrain::formats

#endif  // CVTRAIN_FORMATS_CORRUPTION_CORRUPTOR_H_
