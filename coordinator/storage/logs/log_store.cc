#include "coordinator/storage/logs/log_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "coordinator/storage/coding.h"
#include "coordinator/storage/rocks.h"

// Rows of the family `logs` (docs/formats/storage.md):
//   trial 'l' first    lines of one batch, the first of which has this sequence
//   trial 'n'          varint of the sequence of the next line
//   trial 's' stream   varint of the last sequence of a stream

namespace cvtrain::coordinator {
namespace {

// Trials that the cache holds between commits.
constexpr size_t kCachedTrialsMax = 1'000;
constexpr size_t kStreamSizeBytesMax = 128;

std::string LinesPrefix(const TrialName& trial) { return TrialPrefix(trial) + "l"; }

std::string LinesKey(const TrialName& trial, int64_t first) {
  std::string key = LinesPrefix(trial);
  AppendBigEndian64(static_cast<uint64_t>(first), &key);
  return key;
}

std::string NextKey(const TrialName& trial) { return TrialPrefix(trial) + "n"; }

std::string StreamKey(const TrialName& trial, absl::string_view stream) {
  return absl::StrCat(TrialPrefix(trial), "s", stream);
}

absl::Status BadRow() { return DataLoss(Reason::kJournalDamaged, "logs: a row cannot be read"); }

std::string EncodeNumber(int64_t number) {
  std::string row;
  AppendVarint(static_cast<uint64_t>(number), &row);
  return row;
}

// `missing` if there is no such row.
absl::StatusOr<int64_t> ReadNumber(Rocks& rocks, const std::string& key, int64_t missing) {
  CVT_ASSIGN_OR_RETURN(const std::optional<std::string> row, rocks.Get(Family::kLogs, key));
  if (!row) {
    return missing;
  }
  ByteReader reader(*row);
  uint64_t number = 0;
  if (!reader.ReadVarint(&number) || !reader.at_end()) {
    return BadRow();
  }
  return static_cast<int64_t>(number);
}

std::string EncodeLines(const std::vector<TrialLogLine>& lines) {
  std::string row;
  AppendVarint(lines.size(), &row);
  int64_t before = 0;
  for (const TrialLogLine& line : lines) {
    const int64_t micros = absl::ToUnixMicros(line.time);
    AppendVarint(ZigZag(micros - before), &row);
    before = micros;
    AppendVarint(ZigZag(line.level), &row);
    AppendVarint(ZigZag(line.attempt), &row);
    AppendVarint(ZigZag(line.rank), &row);
    AppendLengthPrefixed(line.text, &row);
  }
  return row;
}

absl::StatusOr<std::vector<TrialLogLine>> DecodeLines(absl::string_view suffix,
                                                      absl::string_view row) {
  ByteReader key(suffix);
  ByteReader reader(row);
  uint64_t first = 0;
  uint64_t count = 0;
  if (!key.ReadBigEndian64(&first) || !key.at_end() || !reader.ReadVarint(&count) ||
      count > row.size()) {
    return BadRow();
  }
  std::vector<TrialLogLine> lines(count);
  int64_t micros = 0;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t delta = 0, level = 0, attempt = 0, rank = 0;
    absl::string_view text;
    if (!reader.ReadVarint(&delta) || !reader.ReadVarint(&level) || !reader.ReadVarint(&attempt) ||
        !reader.ReadVarint(&rank) || !reader.ReadLengthPrefixed(&text)) {
      return BadRow();
    }
    micros += UnZigZag(delta);
    lines[i] = {static_cast<int64_t>(first + i),       absl::FromUnixMicros(micros),
                static_cast<int32_t>(UnZigZag(level)), static_cast<int32_t>(UnZigZag(attempt)),
                static_cast<int32_t>(UnZigZag(rank)),  std::string(text)};
  }
  return reader.at_end() ? absl::StatusOr<std::vector<TrialLogLine>>(std::move(lines)) : BadRow();
}

bool Matches(const LogQuery& query, const TrialLogLine& line) {
  return line.sequence > query.after && (query.attempt == 0 || line.attempt == query.attempt) &&
         (!query.rank || line.rank == *query.rank) && line.level >= query.level_min;
}

size_t SizeOf(const LogBatch& batch) {
  size_t size = batch.stream.size();
  for (const TrialLogLine& line : batch.lines) {
    size += line.text.size() + 16;
  }
  return size;
}

}  // namespace

class LogStore::StagedBatch : public Committer::Staged {
 public:
  StagedBatch(LogStore& store, LogBatch batch, Committer::Done done)
      : store_(store), batch_(std::move(batch)), done_(std::move(done)) {}
  absl::Status Prepare(CommitBatch& rows) override { return store_.Prepare(batch_, rows); }
  void Done(const absl::Status& status) override { done_(status); }

 private:
  LogStore& store_;
  LogBatch batch_;
  const Committer::Done done_;
};

class LogStore::StagedDelete : public Committer::Staged {
 public:
  StagedDelete(LogStore& store, const TrialName& trial, Committer::Done done)
      : store_(store), trial_(trial), done_(std::move(done)) {}
  absl::Status Prepare(CommitBatch& rows) override {
    store_.PrepareDelete(trial_, rows);
    return absl::OkStatus();
  }
  void Done(const absl::Status& status) override { done_(status); }

 private:
  LogStore& store_;
  const TrialName trial_;
  const Committer::Done done_;
};

LogStore::LogStore(Database& database, const LogStoreOptions& options)
    : database_(database), options_(options) {
  database_.committer().AddParticipant(this);
}

LogStore::~LogStore() { database_.committer().RemoveParticipant(this); }

absl::Status LogStore::Stage(LogBatch batch, Committer::Done done) {
  if (batch.stream.empty() || batch.stream.size() > kStreamSizeBytesMax || batch.sequence < 1) {
    return InvalidArgument(Reason::kFieldInvalid,
                           absl::StrCat("logs: a batch must have a stream of 1 to ",
                                        kStreamSizeBytesMax, " bytes and a sequence from 1"));
  }
  for (TrialLogLine& line : batch.lines) {
    line.text = TruncateText(line.text, limits::kLogLineSizeBytesMax);
  }
  const size_t size = SizeOf(batch);
  if (batch.lines.size() > kLinesPerBatchMax || size > kBatchSizeBytesMax) {
    return LimitExceeded(
        "log_batch_size_bytes_max",
        absl::StrCat("logs: a batch takes at most ", kLinesPerBatchMax, " lines and ",
                     kBatchSizeBytesMax, " bytes, got ", batch.lines.size(), " and ", size));
  }
  CVT_RETURN_IF_ERROR(database_.CheckSpace());
  return database_.committer().Stage(
      std::make_unique<StagedBatch>(*this, std::move(batch), std::move(done)), size);
}

absl::Status LogStore::StageDelete(const TrialName& trial, Committer::Done done) {
  return database_.committer().Stage(std::make_unique<StagedDelete>(*this, trial, std::move(done)),
                                     0);
}

absl::Status LogStore::Prepare(LogBatch& batch, CommitBatch& rows) {
  CVT_ASSIGN_OR_RETURN(Trial* const trial, FindTrial(batch.trial));
  auto stream = trial->streams.find(batch.stream);
  if (stream == trial->streams.end()) {
    int64_t sequence = 0;
    if (!trial->deleted) {
      CVT_ASSIGN_OR_RETURN(sequence, DurableSequence(batch.trial, batch.stream));
    }
    stream = trial->streams.emplace(batch.stream, sequence).first;
  }
  if (batch.sequence <= stream->second) {
    return absl::OkStatus();
  }
  stream->second = batch.sequence;
  rows.Put(Family::kLogs, StreamKey(batch.trial, batch.stream), EncodeNumber(batch.sequence));
  if (batch.lines.empty()) {
    return absl::OkStatus();
  }
  const std::string value = EncodeLines(batch.lines);
  const Row row{trial->next, static_cast<int64_t>(batch.lines.size()),
                static_cast<int64_t>(value.size())};
  rows.Put(Family::kLogs, LinesKey(batch.trial, row.first), value);
  trial->next += row.lines;
  trial->lines += row.lines;
  trial->bytes += row.bytes;
  trial->rows.push_back(row);
  rows.Put(Family::kLogs, NextKey(batch.trial), EncodeNumber(trial->next));
  Trim(batch.trial, *trial, rows);
  return absl::OkStatus();
}

void LogStore::Trim(const TrialName& name, Trial& trial, CommitBatch& rows) {
  while (trial.rows.size() > 1 &&
         (trial.bytes > options_.trial_size_bytes_max || trial.lines > options_.trial_lines_max)) {
    const Row& oldest = trial.rows.front();
    rows.Delete(Family::kLogs, LinesKey(name, oldest.first));
    trial.bytes -= oldest.bytes;
    trial.lines -= oldest.lines;
    trial.rows.pop_front();
  }
}

void LogStore::PrepareDelete(const TrialName& name, CommitBatch& rows) {
  rows.DeletePrefix(Family::kLogs, TrialPrefix(name));
  trials_[name] = {};
  trials_[name].deleted = true;
}

absl::StatusOr<LogStore::Trial*> LogStore::FindTrial(const TrialName& name) {
  if (auto found = trials_.find(name); found != trials_.end()) {
    return &found->second;
  }
  Trial trial;
  CVT_ASSIGN_OR_RETURN(trial.next, ReadNumber(database_.rocks(), NextKey(name), 1));
  RowCursor cursor(database_.rocks(), Family::kLogs, LinesPrefix(name), {.fill_cache = false});
  for (; cursor.Valid(); cursor.Next()) {
    ByteReader key(cursor.suffix());
    ByteReader value(cursor.value());
    uint64_t first = 0;
    uint64_t count = 0;
    if (!key.ReadBigEndian64(&first) || !value.ReadVarint(&count)) {
      return BadRow();
    }
    trial.rows.push_back({static_cast<int64_t>(first), static_cast<int64_t>(count),
                          static_cast<int64_t>(cursor.value().size())});
    trial.lines += trial.rows.back().lines;
    trial.bytes += trial.rows.back().bytes;
  }
  CVT_RETURN_IF_ERROR(cursor.status());
  return &trials_.emplace(name, std::move(trial)).first->second;
}

absl::Status LogStore::FinishCommit(CommitBatch&) { return absl::OkStatus(); }

void LogStore::EndCommit(const absl::Status&) {
  if (trials_.size() > kCachedTrialsMax) {
    trials_.clear();
    return;
  }
  for (auto& [name, trial] : trials_) {
    trial.deleted = false;
  }
}

absl::StatusOr<int64_t> LogStore::DurableSequence(const TrialName& trial,
                                                  absl::string_view stream) const {
  return ReadNumber(database_.rocks(), StreamKey(trial, stream), 0);
}

// Sequence before the first of the last `tail` lines that match.
absl::StatusOr<int64_t> LogStore::FirstOfTail(const LogQuery& query) const {
  int64_t wanted = query.tail;
  RowCursor cursor(database_.rocks(), Family::kLogs, LinesPrefix(query.trial), {.backwards = true});
  for (; cursor.Valid(); cursor.Next()) {
    CVT_ASSIGN_OR_RETURN(const std::vector<TrialLogLine> lines,
                         DecodeLines(cursor.suffix(), cursor.value()));
    for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
      if (Matches(query, *line) && --wanted == 0) {
        return line->sequence - 1;
      }
    }
  }
  CVT_RETURN_IF_ERROR(cursor.status());
  return 0;
}

absl::StatusOr<LogAnswer> LogStore::List(const LogQuery& asked) const {
  LogQuery query = asked;
  if (query.tail > 0 && query.after == 0) {
    CVT_ASSIGN_OR_RETURN(query.after, FirstOfTail(query));
  }
  LogAnswer answer;
  answer.after = query.after;
  const std::string prefix = LinesPrefix(query.trial);
  // The row that holds the next line may begin before it.
  RowCursor before(database_.rocks(), Family::kLogs, prefix, {.backwards = true});
  before.Seek(LinesKey(query.trial, query.after + 1));
  RowCursor cursor(database_.rocks(), Family::kLogs, prefix);
  if (before.Valid()) {
    cursor.Seek(before.key());
  }
  for (; cursor.Valid(); cursor.Next()) {
    CVT_ASSIGN_OR_RETURN(const std::vector<TrialLogLine> lines,
                         DecodeLines(cursor.suffix(), cursor.value()));
    for (const TrialLogLine& line : lines) {
      if (Matches(query, line)) {
        if (answer.lines.size() == query.lines_max) {
          return answer;
        }
        answer.lines.push_back(line);
      }
      answer.after = std::max(answer.after, line.sequence);
    }
  }
  CVT_RETURN_IF_ERROR(before.status());
  CVT_RETURN_IF_ERROR(cursor.status());
  answer.at_end = true;
  return answer;
}

}  // namespace cvtrain::coordinator
