#include "client/view/queue.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/view/show.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

// Whole seconds: predictions are no better.
std::string SpanText(absl::Duration span) {
  return FormatDuration(absl::Ceil(std::max(span, absl::ZeroDuration()), absl::Seconds(1)));
}

std::string SpanText(const google::protobuf::Duration& span) {
  return SpanText(absl::Seconds(span.seconds()) + absl::Nanoseconds(span.nanos()));
}

// "in 7m05s"; "now"; empty if it is unset.
std::string WhenText(bool known, const google::protobuf::Timestamp& time, absl::Time now) {
  if (!known) return "";
  const absl::Duration left = TimeOf(time) - now;
  return left < absl::Seconds(1) ? "now" : absl::StrCat("in ", SpanText(left));
}

std::string StartText(const v1::QueueEntry& entry, absl::Time now) {
  if (entry.state() == v1::Trial::STATE_RUNNING) return "";
  return WhenText(entry.has_predicted_start(), entry.predicted_start(), now);
}

std::string EndText(const v1::QueueEntry& entry, absl::Time now) {
  return WhenText(entry.has_predicted_end(), entry.predicted_end(), now);
}

std::string SlotsText(const v1::QueueEntry& entry) {
  const int got = entry.state() == v1::Trial::STATE_RUNNING ? entry.slots() : 0;
  return absl::StrCat(got, "/", entry.slots());
}

std::string RestartsText(const v1::QueueEntry& entry) {
  return absl::StrCat(std::max(entry.attempt_count() - 1, 0));
}

// "tail: everyone would be done later if it waited longer"
std::string RuleText(v1::RankRule rule) {
  switch (rule) {
    case v1::RANK_RULE_ARRIVAL:
      return "arrival: first come, first served";
    case v1::RANK_RULE_SHORTEST:
      return "shortest: by how little is left of it";
    case v1::RANK_RULE_SHARE:
      return "share: by how far it is behind its share";
    case v1::RANK_RULE_TAIL:
      return "tail: everyone would be done later if it waited longer";
    case v1::RANK_RULE_FAIRNESS:
      return "fairness: it would be done later than an equal share of the slots promises";
    case v1::RANK_RULE_PROBE:
      return "probe: nobody knows yet how fast it is";
    default:
      return "";
  }
}

// What became of an earlier prediction: "3m later than first said".
std::string DriftText(absl::Time said, absl::Time says) {
  const absl::Duration drift = says - said;
  if (absl::AbsDuration(drift) < absl::Seconds(1)) return "as first said";
  return absl::StrCat(SpanText(absl::AbsDuration(drift)),
                      drift > absl::ZeroDuration() ? " later" : " sooner", " than first said");
}

class Text {
 public:
  void Line(absl::string_view name, const std::string& value) {
    if (value.empty()) return;
    absl::StrAppend(&text_, absl::StrFormat("%-17s", absl::StrCat(name, ":")), EscapeText(value),
                    "\n");
  }
  void Section(absl::string_view title, const Table& table) {
    if (table.empty()) return;
    std::ostringstream out;
    table.Print(out);
    absl::StrAppend(
        &text_, "\n", title, ":\n  ",
        absl::StrReplaceAll(absl::StripTrailingAsciiWhitespace(out.str()), {{"\n", "\n  "}}), "\n");
  }
  std::string text() const { return text_; }

 private:
  std::string text_;
};

Table AheadTable(const QueueEntries& entries, absl::Time now) {
  Table table({"ID", "STATE", "SLOTS", "LEFT", "END"});
  for (const v1::QueueEntry& entry : entries) {
    table.AddRow({ShortName(entry.trial()), StateText(entry.state()), absl::StrCat(entry.slots()),
                  SpanText(entry.left()), EndText(entry, now)});
  }
  return table;
}

std::string PlacesText(const v1::ExplainTrialResponse& response) {
  std::map<std::string, std::vector<std::string>> slots;
  for (const v1::Placement& placement : response.placements()) {
    slots[ShortName(placement.worker())].push_back(absl::StrCat(placement.slot()));
  }
  std::vector<std::string> parts;
  for (const auto& [worker, indices] : slots) {
    parts.push_back(absl::StrCat(worker, indices.size() == 1 ? " slot " : " slots ",
                                 absl::StrJoin(indices, ",")));
  }
  return absl::StrJoin(parts, "; ");
}

void AddPredictions(const v1::ExplainTrialResponse& response, absl::Time now, Text& text) {
  const v1::QueueEntry& entry = response.entry();
  const v1::Prediction& first = response.first_prediction();
  const auto line = [&](absl::string_view name, bool known, const google::protobuf::Timestamp& time,
                        bool said, const google::protobuf::Timestamp& before) {
    std::string value = WhenText(known, time, now);
    if (value.empty()) return;
    absl::StrAppend(&value, ", at ", FormatTimestamp(TimeOf(time)));
    if (said) {
      absl::StrAppend(&value, "; ", DriftText(TimeOf(before), TimeOf(time)), ", ",
                      AgeText(first.time(), now), " ago");
    }
    text.Line(name, value);
  };
  if (entry.state() != v1::Trial::STATE_RUNNING) {
    line("Starts", entry.has_predicted_start(), entry.predicted_start(), first.has_start(),
         first.start());
  }
  line("Ends", entry.has_predicted_end(), entry.predicted_end(), first.has_end(), first.end());
}

}  // namespace

std::string ReasonText(v1::WaitReason reason) {
  if (reason == v1::WAIT_REASON_UNSPECIFIED) return "";
  return v1::WaitReason_Name(reason).substr(std::string("WAIT_REASON_").size());
}

Table QueueTable(const QueueEntries& entries, absl::Time now, bool wide) {
  std::vector<std::string> headers = {
      "ID",    "NAME", "USER", "PRIO",     "STATE", "SLOTS(got/want)",
      "START", "END",  "LEFT", "RESTARTS", "AGE",   "REASON"};
  if (wide) headers.insert(headers.end(), {"RULE", "BEHIND", "FORECAST", "MESSAGE"});
  Table table(headers);
  for (const v1::QueueEntry& entry : entries) {
    std::vector<std::string> row = {ShortName(entry.trial()),
                                    entry.label(),
                                    entry.creator(),
                                    absl::StrCat(entry.priority()),
                                    StateText(entry.state()),
                                    SlotsText(entry),
                                    StartText(entry, now),
                                    EndText(entry, now),
                                    SpanText(entry.left()),
                                    RestartsText(entry),
                                    AgeText(entry.create_time(), now),
                                    ReasonText(entry.reason())};
    if (wide) {
      const std::string rule = RuleText(entry.rule());
      row.insert(row.end(), {rule.substr(0, rule.find(':')),
                             entry.behind().empty() ? "" : ShortName(entry.behind()),
                             entry.forecast_basis(), entry.message()});
    }
    table.AddRow(row);
  }
  return table;
}

std::string ExplainText(const v1::ExplainTrialResponse& response, absl::Time now) {
  const v1::QueueEntry& entry = response.entry();
  Text text;
  text.Line("Trial",
            absl::StrCat(ShortName(entry.trial()), " of ", entry.project(), "/", entry.label()));
  text.Line("State", StateText(entry.state()));
  text.Line("Reason", ReasonText(entry.reason()));
  text.Line("Why", entry.message());
  text.Line("Place", entry.reason() == v1::WAIT_REASON_UNSPECIFIED ? "" : RuleText(entry.rule()));
  text.Line("Needs", absl::StrCat(entry.slots(), entry.slots() == 1 ? " slot" : " slots",
                                  ", priority ", entry.priority()));
  text.Line("Runs on", PlacesText(response));
  text.Line("Why there", response.placement_reason());
  if (!HasEnded(entry.state())) {
    text.Line("Left", absl::StrCat(SpanText(entry.left()), " (", entry.forecast_basis(), ")"));
  }
  AddPredictions(response, now, text);
  if (response.has_preemptible_time()) {
    text.Line("May make way",
              absl::StrCat(WhenText(true, response.preemptible_time(), now),
                           ", for one that comes first; costs ",
                           SpanText(response.preemption_cost()), " of its slots, no step"));
  }
  if (response.ahead_total() > 0) {
    text.Line("Ahead of it", absl::StrCat(response.ahead_total(), ", the nearest first"));
  }
  text.Section("Ahead", AheadTable(response.ahead(), now));
  Table what_if({"CHANGE", "START"});
  for (const v1::WhatIf& one : response.what_if()) {
    const std::string start = WhenText(one.has_predicted_start(), one.predicted_start(), now);
    what_if.AddRow({one.change(), start.empty() ? "nobody can say" : start});
  }
  text.Section("What would change it", what_if);
  return text.text();
}

std::string PredictionText(const v1::PredictQueueResponse& response, absl::Time now) {
  std::map<std::string, const v1::QueueEntry*> before;
  for (const v1::QueueEntry& entry : response.now()) before[entry.trial()] = &entry;
  Table table({"ID", "STATE", "SLOTS", "START", "START(then)", "END", "END(then)"});
  for (const v1::QueueEntry& entry : response.then()) {
    const auto found = before.find(entry.trial());
    const v1::QueueEntry none;
    const v1::QueueEntry& was = found == before.end() ? none : *found->second;
    table.AddRow({ShortName(entry.trial()), StateText(entry.state()), absl::StrCat(entry.slots()),
                  StartText(was, now), StartText(entry, now), EndText(was, now),
                  EndText(entry, now)});
  }
  std::ostringstream out;
  table.Print(out);
  const auto end = [&](bool known, const google::protobuf::Timestamp& time) {
    const std::string text = WhenText(known, time, now);
    return text.empty() ? "at a time that nobody can say" : text;
  };
  out << "\nAll done " << end(response.has_end_now(), response.end_now()) << "; then "
      << end(response.has_end_then(), response.end_then()) << ".\n";
  return out.str();
}

}  // namespace cvtrain::client
