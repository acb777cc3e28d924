#include "tests/simulation/planted.h"

#include "common/status_macros.h"
#include "coordinator/state/canonical_bytes.h"
#include "cvtrain/storage/v1/event.pb.h"

namespace cvtrain::simulation {

bool PlantsInJournal(Bug bug) {
  return bug == Bug::kSlotGivenTwice || bug == Bug::kHalfAGang ||
         bug == Bug::kSearchOutsideTheEvent;
}

void PlantInRecord(Bug bug, coordinator::JournalRecord& record) {
  storage::v1::Event event;
  CVT_CHECK(event.ParseFromString(record.bytes));
  switch (bug) {
    case Bug::kSlotGivenTwice:
      // Every gang sits on one slot.
      if (!event.has_attempt_allocated() || event.attempt_allocated().ranks_size() < 2) return;
      *event.mutable_attempt_allocated()->mutable_ranks(1) = event.attempt_allocated().ranks(0);
      break;
    case Bug::kHalfAGang:
      if (!event.has_attempt_allocated() || event.attempt_allocated().ranks_size() < 2) return;
      event.mutable_attempt_allocated()->mutable_ranks()->RemoveLast();
      break;
    case Bug::kSearchOutsideTheEvent:
      if (!event.has_facts_reported() || event.consequences().searches().empty()) return;
      event.mutable_consequences()->clear_searches();
      break;
    default:
      return;
  }
  record.bytes = coordinator::CanonicalBytes(event);
}

}  // namespace cvtrain::simulation
