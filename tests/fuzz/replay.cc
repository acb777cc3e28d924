// The main() of fuzz tests in builds without libFuzzer: feeds the corpus, and random changes of it.
//
//   NAME_test [--seed N] [--runs N] [FILE-OR-FOLDER...]
//
// Every file is given to LLVMFuzzerTestOneInput as it is; then `runs` inputs are made from files
// picked at random, each cut, repeated or with some bytes changed. The seed is printed first, and
// the same seed makes the same inputs. It finds less than libFuzzer (preset `fuzz`), which follows
// coverage; it keeps what was found from coming back.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kInputSizeBytesMax = 1 << 20;

void Feed(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

std::vector<std::string> ReadCorpus(std::vector<std::filesystem::path> paths) {
  std::vector<std::filesystem::path> files;
  for (const auto& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> corpus;
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    if (!in) {
      std::fprintf(stderr, "cannot read %s\n", file.c_str());
      std::exit(2);
    }
    corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return corpus;
}

// Returns `input` with a few changes of the kinds that damaged and hostile files have.
std::string Change(std::string input, std::mt19937_64& random) {
  const auto below = [&](size_t bound) { return static_cast<size_t>(random() % bound); };
  const size_t changes = 1 + below(8);
  for (size_t i = 0; i < changes; ++i) {
    const size_t at = input.empty() ? 0 : below(input.size());
    switch (below(5)) {
      case 0:  // one bit flipped
        if (!input.empty()) input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        break;
      case 1:  // a byte of the kind that breaks lengths
        if (!input.empty()) input[at] = "\x00\x01\x7f\x80\xff"[below(5)];
        break;
      case 2:  // cut
        input.resize(at);
        break;
      case 3:  // a byte more
        input.insert(at, 1, static_cast<char>(random()));
        break;
      case 4:  // a piece of it again
        if (input.size() < kInputSizeBytesMax / 2) {
          input.insert(at, input.substr(at, 1 + below(64)));
        }
        break;
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t seed = std::random_device()();
  uint64_t runs = 2000;
  std::vector<std::filesystem::path> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--seed" && i + 1 < argc) {
      seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--runs" && i + 1 < argc) {
      runs = std::strtoull(argv[++i], nullptr, 10);
    } else {
      paths.emplace_back(argument);
    }
  }
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);

  std::vector<std::string> corpus = ReadCorpus(std::move(paths));
  corpus.emplace_back();
  for (const std::string& input : corpus) Feed(input);
  std::mt19937_64 random(seed);
  for (uint64_t run = 0; run < runs; ++run) {
    Feed(Change(corpus[random() % corpus.size()], random));
  }
  std::printf("%zu inputs of the corpus, %llu changed ones\n", corpus.size(),
              static_cast<unsigned long long>(runs));
  return 0;
}
