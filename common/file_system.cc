#include "common/file_system.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain {

absl::StatusOr<std::string> ReadFile(FileSystem& files, const std::string& path,
                                     uint64_t size_bytes_max) {
  CVT_ASSIGN_OR_RETURN(const auto file, files.NewRandomAccessFile(path));
  CVT_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (size > size_bytes_max) {
    return LimitExceeded("file size",
                         absl::StrCat("reading ", path, ": at most ", FormatBytes(size_bytes_max),
                                      " are read, it has ", FormatBytes(size)));
  }
  std::string content(static_cast<size_t>(size), '\0');
  CVT_ASSIGN_OR_RETURN(const size_t got, file->Read(0, absl::MakeSpan(content)));
  content.resize(got);  // somebody may have shortened it since
  return content;
}

absl::Status WriteFileAtomic(FileSystem& files, const std::string& path, absl::string_view data,
                             uint32_t permissions) {
  return WriteFileAtomic(
      files, path, [data](WritableFile& file) { return file.Append(data); }, permissions);
}

absl::Status WriteFileAtomic(FileSystem& files, const std::string& path,
                             const std::function<absl::Status(WritableFile&)>& fill,
                             uint32_t permissions) {
  // 1. The new content, complete and on disk under a name that nobody reads. A
  //    crash leaves the old file and a temporary.
  // 2. The rename. A crash leaves the old or the new file, whole.
  // 3. The directory on disk. From here on the new file stays.
  const std::string temporary = path + ".tmp";
  WritableFileOptions options;
  options.permissions = permissions;
  const auto write = [&]() -> absl::Status {
    CVT_ASSIGN_OR_RETURN(const auto file, files.NewWritableFile(temporary, options));
    CVT_RETURN_IF_ERROR(fill(*file));
    CVT_RETURN_IF_ERROR(file->Sync());
    CVT_RETURN_IF_ERROR(file->Close());
    return files.Rename(temporary, path);
  };
  if (const absl::Status written = write(); !written.ok()) {
    files.Remove(temporary).IgnoreError();  // garbage, and the next call overwrites it
    return written;
  }
  return files.SyncDir(DirName(path));
}

absl::StatusOr<bool> Exists(FileSystem& files, const std::string& path) {
  const absl::StatusOr<FileInfo> info = files.Stat(path);
  if (info.ok()) return true;
  if (absl::IsNotFound(info.status())) return false;
  return info.status();
}

std::string JoinPath(absl::string_view directory, absl::string_view name) {
  if (directory.empty()) return std::string(name);
  return absl::StrCat(directory, directory.back() == '/' ? "" : "/", name);
}

std::string DirName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  if (slash == 0) return "/";
  return std::string(path.substr(0, slash));
}

std::string BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == absl::string_view::npos ? path : path.substr(slash + 1));
}

absl::Status ValidateNameBeneath(absl::string_view name) {
  const std::string shown = SafeText(name, 128);
  if (name.empty() || name.find('\0') != absl::string_view::npos) {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("must be a relative file name, got '", shown, "'"));
  }
  absl::string_view rest = name;
  while (true) {
    const size_t slash = rest.find('/');
    const absl::string_view part = rest.substr(0, slash);
    if (part == ".." || (part.empty() && rest.data() == name.data())) {
      return PermissionDenied(
          Reason::kFileForbidden,
          absl::StrCat("must stay beneath its directory, without '..', got '", shown, "'"));
    }
    if (part.empty() || part == ".") {
      return InvalidArgument(Reason::kFieldInvalid,
                             absl::StrCat("must have no empty parts, got '", shown, "'"));
    }
    if (slash == absl::string_view::npos) return absl::OkStatus();
    rest.remove_prefix(slash + 1);
  }
}

}  // namespace cvtrain
