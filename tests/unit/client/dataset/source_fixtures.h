#ifndef CVTRAIN_TESTS_UNIT_CLIENT_DATASET_SOURCE_FIXTURES_H_
#define CVTRAIN_TESTS_UNIT_CLIENT_DATASET_SOURCE_FIXTURES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/dataset/dataset_formats.h"
#include "common/memory_file_system.h"

// Small data sets of every format, made where they are used.
namespace cvtrain::client::testing {

struct TarEntry {
  std::string name;
  std::string bytes;
  char type = '0';
};
// A ustar archive with its end mark.
std::string MakeTar(const std::vector<TarEntry>& entries);
// Puts the sum of the header at `offset` right.
void SealTarHeader(std::string* tar, size_t offset);

// 16 bits, one channel, 8,000 samples a second.
std::string MakeWav(int samples);

// As MNIST has them: dimensions, then bytes.
std::string MakeIdx(const std::vector<uint32_t>& dimensions, const std::string& bytes);
std::string Gzip(const std::string& bytes);

// A VOC annotation of a picture of this size; each object is the text within <object>.
std::string MakeVoc(int width, int height, const std::vector<std::string>& objects);
std::string VocObject(const std::string& name, int xmin, int ymin, int xmax, int ymax);

// A data set in memory, and a reader of it.
class SourceFiles {
 public:
  void Put(const std::string& path, const std::string& bytes);

  // Lists `root` as `format` does. The reader stays for Read().
  absl::StatusOr<DatasetListing> List(const std::string& format, const std::string& root,
                                      const ReaderOptions& options = {});
  absl::StatusOr<SourceBytes> Read(const SourceSample& sample) { return reader->Read(sample); }

  // Names of the format that `root` looks like, or its error.
  absl::StatusOr<std::string> Guess(const std::string& root);

  InMemoryFileSystem files;
  std::unique_ptr<DatasetReader> reader;
};

// "train: a/1.jpg=0 b/1.jpg=1": what a split has, with labels; empty if there is no such split.
std::string Samples(const DatasetListing& listing, const std::string& split);
// Cause -> how often, over what is skipped, and over what is passed over.
std::map<std::string, int> Skipped(const DatasetListing& listing);
std::map<std::string, int> PassedOver(const DatasetListing& listing);

}  // namespace cvtrain::client::testing

#endif  // CVTRAIN_TESTS_UNIT_CLIENT_DATASET_SOURCE_FIXTURES_H_
