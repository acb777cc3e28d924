#ifndef CVTRAIN_PLAN_RULES_DEFAULT_MACRO_H_
#define CVTRAIN_PLAN_RULES_DEFAULT_MACRO_H_

// Writes a default into an optional field that is not given. Internal to plan/.
#define CVT_DEFAULT(message, field, value)                      \
  do {                                                          \
    if (!(message).has_##field()) (message).set_##field(value); \
  } while (false)

#endif  // CVTRAIN_PLAN_RULES_DEFAULT_MACRO_H_
