#ifndef CVTRAIN_COMMON_CRC32C_H_
#define CVTRAIN_COMMON_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace cvtrain {

// CRC-32C (Castagnoli) of `data`, as in iSCSI: Crc32c("123456789") == 0xe3069283.
uint32_t Crc32c(absl::string_view data);

// ExtendCrc32c(Crc32c(a), b) == Crc32c(a + b); the CRC of nothing is 0.
uint32_t ExtendCrc32c(uint32_t crc, absl::string_view data);

namespace internal {
// The table-driven form, for machines without the instruction; exposed to test
// that both agree.
uint32_t ExtendCrc32cPortable(uint32_t crc, absl::string_view data);
}  // namespace internal

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_CRC32C_H_
