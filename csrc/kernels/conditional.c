/* conditional.c: a job that runs only if an earlier job of its list has decided so. */
#include "fl.h"
#include "unit.h"

void FL_ENTRY(conditional)(const fl_job *head, fl_int block, void *scratch)
{
    if (*head->flag == head->wanted) head->then(head, block, scratch);
}
