static void FL_FN(xent)(const fl_job *head, fl_int block, void *scratch) { (void)head; (void)block; (void)scratch; }
