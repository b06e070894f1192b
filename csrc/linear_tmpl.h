static void FL_FN(linear)(const fl_job *head, fl_int block, void *scratch) { (void)head; (void)block; (void)scratch; }
static void FL_FN(sum)(const fl_job *head, fl_int block, void *scratch) { (void)head; (void)block; (void)scratch; }
