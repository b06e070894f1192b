/* rules.h: the numbers of the optimizers' rules, and what a step needs to know. */
#ifndef FL_RULES_H
#define FL_RULES_H

#include "fl.h"
#include "rules.def"

#define FL_RULE_NUMBER(NAME, ...) FL_##NAME,
enum { FL_EACH_RULE(FL_RULE_NUMBER) FL_RULES }; /* FL_SGD, FL_MOMENTUM ... */
#undef FL_RULE_NUMBER

enum { FL_RATE, FL_DECAY, FL_COEFFICIENTS = 10 }; /* of every rule: the first two; how many there are at most */
enum { FL_STATES = 2 };                           /* arrays that a rule keeps, at most */

/* One step of an optimizer for parameters w with gradient g, elementwise, w and the states having one layout. */
typedef struct {
    int rule;
    double c[FL_COEFFICIENTS];
    ptrdiff_t state[FL_STATES]; /* bytes from a parameter to its states */
} fl_update;

#endif
