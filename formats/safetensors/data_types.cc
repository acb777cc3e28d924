#include "formats/safetensors/data_types.h"

#include <utility>

namespace cvtrain::formats::internal {
namespace {

using storage::v1::Tensor;

constexpr std::pair<Tensor::DataType, absl::string_view> kTypeNames[] = {
    {Tensor::DATA_TYPE_BOOL, "BOOL"}, {Tensor::DATA_TYPE_U8, "U8"},
    {Tensor::DATA_TYPE_I8, "I8"},     {Tensor::DATA_TYPE_I16, "I16"},
    {Tensor::DATA_TYPE_I32, "I32"},   {Tensor::DATA_TYPE_I64, "I64"},
    {Tensor::DATA_TYPE_F16, "F16"},   {Tensor::DATA_TYPE_BF16, "BF16"},
    {Tensor::DATA_TYPE_F32, "F32"},   {Tensor::DATA_TYPE_F64, "F64"},
};

}  // namespace

absl::string_view SafetensorsName(Tensor::DataType type) {
  for (const auto& [known, name] : kTypeNames) {
    if (known == type) return name;
  }
  return "";
}

Tensor::DataType DataTypeFromSafetensors(absl::string_view name) {
  for (const auto& [type, known] : kTypeNames) {
    if (known == name) return type;
  }
  return Tensor::DATA_TYPE_UNSPECIFIED;
}

}  // namespace cvtrain::formats::internal
