/* pack.c: A in panels. */
#include "kernels/conv/pack.h"
#include "shared/blocks.h"

/* A block packs one panel of one group where a row's elements are consecutive in w, else all panels' share of one channel: w is
 * read in order, for all phases. */
void FL_ENTRY(conv_pack)(const fl_job *head, fl_int block, void *scratch)
{
    const fl_conv_pack_job *job = (const fl_conv_pack_job *)head;
    const fl_conv_taps *T = &job->taps;
    const int by_row = T->order == FL_PACK_ROWS;
    const fl_int parts = by_row ? job->panels : job->channels, part = block % parts, group = block / parts, mr = T->mr;
    const real *w = (const real *)T->w + group * T->group_step;
    (void)scratch;
    for (fl_int f = 0; f < job->phases; f++) {
        const fl_conv_phase *phase = job->phase + f;
        const fl_int depth = job->channels * phase->taps * mr;
        for (fl_int panel = by_row ? part : 0; panel < (by_row ? part + 1 : job->panels); panel++) {
            const fl_int row = panel * mr, valid = fl_min(job->rows - row, mr);
            const real *from = w + row * T->row_step + (by_row ? 0 : part) * T->channel_step;
            real *out =
                (real *)job->a + phase->panels + (group * job->panels + panel) * depth + (by_row ? 0 : part) * phase->taps * mr;
            if (T->order != FL_PACK_PLACES) conv_pack_panel(out, T, from, by_row ? job->channels : 1, phase->taps, valid);
            else
                for (fl_int q = 0; q < phase->taps; q++, out += mr)
                    for (fl_int i = 0; i < mr; i++) out[i] = i < valid ? from[i * T->row_step + T->place[phase->first + q]] : 0;
        }
    }
}
