/* product.h: matrix products as operations use them: rows of activations in the forms that matrices want, and a matrix by
 * some of those rows. Included only inside src/graph. */
#ifndef HEARTH_GRAPH_PRODUCT_H
#define HEARTH_GRAPH_PRODUCT_H

#include "graph/internal.h"

/* What a matrix wants of its activations, by its type. Small rows are those of spans of at most SMALL_SPAN rows, generation and
 * verification, whose bits must not depend on what else shares the step; they are the first rows of a step. */
enum form {
    FORM_FLOAT = 1, /* of small rows; of all rows where FORM_HALF is not wanted too */
    FORM_INT8 = 2,
    FORM_HALF = 4,  /* of the other rows */
    FORM_WIDE = 8,  /* like FORM_INT8, but the other rows are rounded with a scale for ACT_WIDE */
};
unsigned product_form(const struct kernels *k, enum dtype type);

struct operand {              /* rows of activations */
    unsigned forms;           /* those that are prepared */
    const float *f;           /* row r is at f + r * ldf */
    size_t ldf;
    float *prepared;          /* row r of the other forms is at prepared + r * ldp; NULL: only floats */
    size_t ldp, width;
};

/* Floats that a row of `width` activations takes in the forms besides FORM_FLOAT. A multiple of 16. */
size_t operand_floats(unsigned forms, size_t width);

/* Fills in row r of the other forms from x. */
void operand_prepare(const struct kernels *k, const struct operand *o, int r, const float *x, bool small);

/* y[r][c] = add[r][c] + scale * W[c] . x[r] + bias[c] for the rows r and some columns c. */
struct product {
    enum dtype type;
    const char *w;            /* the matrix: rows of row_bytes */
    size_t row_bytes, n_in;
    const float *bias;        /* NULL: none */
    const struct operand *x;
    size_t first;             /* column of x where the n_in activations begin, a multiple of 32 unless forms is FORM_FLOAT */
    const int32_t *pick_x;    /* [rows] rows of x, NULL: 0, 1, ... */
    float *y;                 /* row r is at y + r * ldy */
    size_t ldy;
    const int32_t *pick_y;    /* [rows], NULL: 0, 1, ... */
    const float *add;         /* NULL: none; row r is at add + r * ldadd, picked like y */
    size_t ldadd;
    float scale;
    int rows, small;          /* the first `small` of them are small rows */
    int *laid_out;            /* the type for which `scratch` still holds the small rows as an earlier call with the same ones left them, -1: none; kept up to date. NULL: never */
};

/* Floats of scratch that product_run needs for a matrix of this type with rows of n_in. */
size_t product_scratch(const struct kernels *k, enum dtype type, size_t n_in);

/* Columns are cut at multiples of PRODUCT_GRAIN of the matrix. */
enum { PRODUCT_GRAIN = TILE_OUTS };
/* How many such pieces, tiles, a matrix has; NULL: none. */
static inline int product_tiles(const struct tensor *t) { return t ? (int)((t->ne[1] + PRODUCT_GRAIN - 1) / PRODUCT_GRAIN) : 0; }
void product_run(const struct kernels *k, const struct product *p, int from, int to, float *scratch);

/* How many of the rows of a value are small. */
int small_rows(const struct run *r, enum rows kind);

#endif
