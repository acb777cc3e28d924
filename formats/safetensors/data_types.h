#ifndef CVTRAIN_FORMATS_SAFETENSORS_DATA_TYPES_H_
#define CVTRAIN_FORMATS_SAFETENSORS_DATA_TYPES_H_

#include "absl/strings/string_view.h"
#include "cvtrain/storage/v1/checkpoint.pb.h"

namespace cvtrain::formats::internal {

// safetensors' name of a type ("F32"); "" for one that it does not have.
absl::string_view SafetensorsName(storage::v1::Tensor::DataType type);

// DATA_TYPE_UNSPECIFIED for a name that we do not have.
storage::v1::Tensor::DataType DataTypeFromSafetensors(absl::string_view name);

}  // namespace cvtrain::formats::internal

#endif  // CVTRAIN_FORMATS_SAFETENSORS_DATA_TYPES_H_
