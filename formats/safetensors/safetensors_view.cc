#include <utility>

#include "common/status_macros.h"
#include "formats/safetensors/index_parser.h"
#include "formats/safetensors/safetensors.h"

namespace cvtrain::formats {

absl::StatusOr<SafetensorsView> SafetensorsView::Open(absl::string_view file,
                                                      absl::string_view name) {
  CVT_ASSIGN_OR_RETURN(const uint64_t data_offset, internal::DataOffset(file, file.size(), name));
  const absl::string_view json =
      file.substr(internal::kHeaderLengthBytes, data_offset - internal::kHeaderLengthBytes);
  CVT_ASSIGN_OR_RETURN(SafetensorsIndex index, internal::ParseIndex(json, file.size(), name));
  SafetensorsView view;
  for (SafetensorsIndex::Tensor& tensor : index.tensors) {
    view.tensors_.push_back({std::move(tensor.name), tensor.data_type, std::move(tensor.shape),
                             file.substr(tensor.offset, tensor.bytes)});
  }
  view.metadata_ = std::move(index.metadata);
  return view;
}

}  // namespace cvtrain::formats
