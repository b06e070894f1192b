/* conditional_tmpl.h: a job that runs only if an earlier job of its list has decided so. */
static void FL_FN(conditional)(const fl_job *head, fl_int block, void *scratch)
{
    if (*head->flag == head->wanted) head->then(head, block, scratch);
}
