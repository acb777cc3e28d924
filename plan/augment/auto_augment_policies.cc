// AutoAugment's policies (Cubuk et al. 2018), as torchvision lists them.

#include <array>

#include "plan/augment/policy.h"

namespace cvtrain::plan {
namespace {

using enum PictureOperation;

constexpr int kNone = -1;  // no magnitude

constexpr std::array<SubPolicy, 25> kImageNet = {{
    {{kPosterize, 0.4, 8}, {kRotate, 0.6, 9}},
    {{kSolarize, 0.6, 5}, {kAutoContrast, 0.6, kNone}},
    {{kEqualize, 0.8, kNone}, {kEqualize, 0.6, kNone}},
    {{kPosterize, 0.6, 7}, {kPosterize, 0.6, 6}},
    {{kEqualize, 0.4, kNone}, {kSolarize, 0.2, 4}},
    {{kEqualize, 0.4, kNone}, {kRotate, 0.8, 8}},
    {{kSolarize, 0.6, 3}, {kEqualize, 0.6, kNone}},
    {{kPosterize, 0.8, 5}, {kEqualize, 1, kNone}},
    {{kRotate, 0.2, 3}, {kSolarize, 0.6, 8}},
    {{kEqualize, 0.6, kNone}, {kPosterize, 0.4, 6}},
    {{kRotate, 0.8, 8}, {kColor, 0.4, 0}},
    {{kRotate, 0.4, 9}, {kEqualize, 0.6, kNone}},
    {{kEqualize, 0, kNone}, {kEqualize, 0.8, kNone}},
    {{kInvert, 0.6, kNone}, {kEqualize, 1, kNone}},
    {{kColor, 0.6, 4}, {kContrast, 1, 8}},
    {{kRotate, 0.8, 8}, {kColor, 1, 2}},
    {{kColor, 0.8, 8}, {kSolarize, 0.8, 7}},
    {{kSharpness, 0.4, 7}, {kInvert, 0.6, kNone}},
    {{kShearX, 0.6, 5}, {kEqualize, 1, kNone}},
    {{kColor, 0.4, 0}, {kEqualize, 0.6, kNone}},
    {{kEqualize, 0.4, kNone}, {kSolarize, 0.2, 4}},
    {{kSolarize, 0.6, 5}, {kAutoContrast, 0.6, kNone}},
    {{kInvert, 0.6, kNone}, {kEqualize, 1, kNone}},
    {{kColor, 0.6, 4}, {kContrast, 1, 8}},
    {{kEqualize, 0.8, kNone}, {kEqualize, 0.6, kNone}},
}};

constexpr std::array<SubPolicy, 25> kCifar10 = {{
    {{kInvert, 0.1, kNone}, {kContrast, 0.2, 6}},
    {{kRotate, 0.7, 2}, {kTranslateX, 0.3, 9}},
    {{kSharpness, 0.8, 1}, {kSharpness, 0.9, 3}},
    {{kShearY, 0.5, 8}, {kTranslateY, 0.7, 9}},
    {{kAutoContrast, 0.5, kNone}, {kEqualize, 0.9, kNone}},
    {{kShearY, 0.2, 7}, {kPosterize, 0.3, 7}},
    {{kColor, 0.4, 3}, {kBrightness, 0.6, 7}},
    {{kSharpness, 0.3, 9}, {kBrightness, 0.7, 9}},
    {{kEqualize, 0.6, kNone}, {kEqualize, 0.5, kNone}},
    {{kContrast, 0.6, 7}, {kSharpness, 0.6, 5}},
    {{kColor, 0.7, 7}, {kTranslateX, 0.5, 8}},
    {{kEqualize, 0.3, kNone}, {kAutoContrast, 0.4, kNone}},
    {{kTranslateY, 0.4, 3}, {kSharpness, 0.2, 6}},
    {{kBrightness, 0.9, 6}, {kColor, 0.2, 8}},
    {{kSolarize, 0.5, 2}, {kInvert, 0, kNone}},
    {{kEqualize, 0.2, kNone}, {kAutoContrast, 0.6, kNone}},
    {{kEqualize, 0.2, kNone}, {kEqualize, 0.6, kNone}},
    {{kColor, 0.9, 9}, {kEqualize, 0.6, kNone}},
    {{kAutoContrast, 0.8, kNone}, {kSolarize, 0.2, 8}},
    {{kBrightness, 0.1, 3}, {kColor, 0.7, 0}},
    {{kSolarize, 0.4, 5}, {kAutoContrast, 0.9, kNone}},
    {{kTranslateY, 0.9, 9}, {kTranslateY, 0.7, 9}},
    {{kAutoContrast, 0.9, kNone}, {kSolarize, 0.8, 3}},
    {{kEqualize, 0.8, kNone}, {kInvert, 0.1, kNone}},
    {{kTranslateY, 0.7, 9}, {kAutoContrast, 0.9, kNone}},
}};

}  // namespace

absl::Span<const SubPolicy> ImageNetPolicy() { return kImageNet; }

absl::Span<const SubPolicy> Cifar10Policy() { return kCifar10; }

}  // namespace cvtrain::plan
