#include "client/dataset/make_sample.h"

#include <algorithm>
#include <utility>

#include "client/dataset/sound_check.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::client {

namespace {

void Skip(absl::Status status, std::string cause, MadeSample* made) {
  made->status = std::move(status);
  made->cause = std::move(cause);
}

// What became of a file that a ladder was made of.
absl::StatusOr<PictureChange> ChangeOf(const std::string& file, const Ladder& ladder,
                                       formats::PictureDecoder& decoder) {
  CVT_ASSIGN_OR_RETURN(const formats::ImageInfo info, decoder.ReadInfo(file));
  return PictureChange{
      .file = {info.width, info.height}, .orientation = info.orientation, .stored = ladder.size};
}

}  // namespace

SampleMaker::SampleMaker(const DatasetReader& reader, const formats::LadderOptions& options,
                         uint32_t classes)
    : reader_(reader), options_(options), classes_(classes), ladders_(options) {}

MadeSample SampleMaker::Make(const SourceSample& sample) {
  MadeSample made;
  absl::StatusOr<SourceBytes> source = reader_.Read(sample);
  if (!source.ok()) {
    Skip(source.status(), SkipCause("?", source.status()), &made);
    if (absl::IsInvalidArgument(made.status)) made.cause = "damaged";
    return made;
  }
  made.digest = source->digest;
  switch (options_.media) {
    case formats::ShardMedia::kPictures:
      MakePicture(sample, source->bytes, &made);
      return made;
    case formats::ShardMedia::kSounds: {
      SoundProblem problem = CheckSound(source->bytes);
      if (!problem.cause.empty()) {
        Skip(InvalidArgument(Reason::kDataBad, problem.detail), problem.cause, &made);
      }
      break;
    }
    case formats::ShardMedia::kFiles:
      if (source->bytes.empty()) {
        Skip(InvalidArgument(Reason::kDataBad, "the file is empty"), "empty", &made);
      }
      break;
  }
  made.ladder.source_format = formats::SourceFormat::kOther;
  made.ladder.source = std::move(source->bytes);
  return made;
}

void SampleMaker::MakePicture(const SourceSample& sample, const std::string& file,
                              MadeSample* made) {
  absl::StatusOr<Ladder> ladder = ladders_.Make(file);
  if (!ladder.ok()) return Skip(ladder.status(), SkipCause(file, ladder.status()), made);
  made->ladder = *std::move(ladder);
  const absl::StatusOr<PictureChange> change = ChangeOf(file, made->ladder, decoder_);
  if (!change.ok()) return Skip(change.status(), SkipCause(file, change.status()), made);
  made->short_side = std::min(change->file.width, change->file.height);
  if (sample.annotation == nullptr) return;
  // An original is stored as it came, but its size, and all that is said of it, is upright.
  absl::StatusOr<FittedAnnotation> fitted = FitAnnotation(*sample.annotation, *change, classes_);
  if (!fitted.ok()) return Skip(fitted.status(), "bad_annotation", made);
  made->fitted = *std::move(fitted);
  made->annotated = made->fitted.annotation.boxes_size() > 0;
}

}  // namespace cvtrain::client
