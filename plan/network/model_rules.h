#ifndef CVTRAIN_PLAN_NETWORK_MODEL_RULES_H_
#define CVTRAIN_PLAN_NETWORK_MODEL_RULES_H_

namespace cvtrain::v1 {
class Model;
}  // namespace cvtrain::v1

namespace cvtrain::plan {

class Rules;

// What each family says of its options. Pure functions; thread-safe.

// Writes what `model` leaves out of its family; nothing without one.
void WriteModelDefaults(v1::Model& model);

// Adds what is wrong with the family of `model`, or that there is none.
void CheckModelFamily(const v1::Model& model, Rules& rules);

}  // namespace cvtrain::plan

#endif  // CVTRAIN_PLAN_NETWORK_MODEL_RULES_H_
