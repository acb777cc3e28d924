#ifndef CVTRAIN_TESTS_SIMULATION_PLANTED_H_
#define CVTRAIN_TESTS_SIMULATION_PLANTED_H_

#include "coordinator/engine/journal.h"
#include "tests/simulation/scenario.h"

// Bugs that are planted by doctoring what passes between the engine and its journal: the engine
// believes one thing and stores another. The other bugs stand where they act.
namespace cvtrain::simulation {

bool PlantsInJournal(Bug bug);

// Changes a stored event as the bug would have it; most records stay as they are.
void PlantInRecord(Bug bug, coordinator::JournalRecord& record);

}  // namespace cvtrain::simulation

#endif  // CVTRAIN_TESTS_SIMULATION_PLANTED_H_
