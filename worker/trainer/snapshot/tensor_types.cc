#include "worker/trainer/snapshot/tensor_types.h"

#include "absl/strings/str_cat.h"
#include "common/errors.h"

namespace cvtrain::trainer {

absl::StatusOr<storage::v1::Tensor::DataType> DataTypeOf(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::ScalarType::Bool:
      return storage::v1::Tensor::DATA_TYPE_BOOL;
    case at::ScalarType::Byte:
      return storage::v1::Tensor::DATA_TYPE_U8;
    case at::ScalarType::Int:
      return storage::v1::Tensor::DATA_TYPE_I32;
    case at::ScalarType::Long:
      return storage::v1::Tensor::DATA_TYPE_I64;
    case at::ScalarType::Half:
      return storage::v1::Tensor::DATA_TYPE_F16;
    case at::ScalarType::BFloat16:
      return storage::v1::Tensor::DATA_TYPE_BF16;
    case at::ScalarType::Float:
      return storage::v1::Tensor::DATA_TYPE_F32;
    case at::ScalarType::Double:
      return storage::v1::Tensor::DATA_TYPE_F64;
    default:
      return Internal(Reason::kInternal, absl::StrCat("checkpoints hold no elements of type ",
                                                      c10::toString(tensor.scalar_type())));
  }
}

}  // namespace cvtrain::trainer
