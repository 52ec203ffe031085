/* adapter_file.h: what an adapter's files say, before it is held against a model; included only inside src/model, and by tests.
 *
 *   adapter_read or adapter_read_gguf -> entries, each one matrix's pair -> adapter_file_close
 *
 * Everything lives until adapter_file_close: tensors point into the mapped files. One thread.
 */
#ifndef HEARTH_ADAPTER_FILE_H
#define HEARTH_ADAPTER_FILE_H

#include "base/strmap.h"
#include "gguf/gguf.h"
#include "gguf/safetensors.h"

struct adapter_entry {
    const char *name;           /* of the model's tensor: "blk.0.attn_q.weight" */
    const struct tensor *a, *b; /* as the file has them; both are there after reading */
    float scale;
};

enum adapter_half { HALF_A, HALF_B };

struct adapter_file {
    struct arena arena;
    const char *path;           /* of the file with the tensors, for messages */
    struct gguf *gguf;          /* one of the two */
    struct safetensors *safetensors;
    struct slice arch;          /* the architecture it says it is for; p NULL: it does not say */
    struct slice base;          /* the model it was trained on: a name, an address, a path; likewise */
    bool transposed;            /* MLX: A {rank, n_in} and B {n_out, rank} in our order of dimensions; else {n_in, rank} and {rank, n_out} */
    bool turned;                /* queries and keys have their rows in Hugging Face's order */
    struct adapter_entry *entries;
    int n, cap;
    struct strmap names;        /* of entries */
    int32_t *invocation;        /* [n_invocation] tokens; NULL: an ordinary adapter */
    int n_invocation;
};

enum { INVOCATION_MAX = 256 /* tokens */ };

int adapter_read(struct adapter_file *f, const char *path, struct err *e);         /* any kind; *f is closed by the caller, also after an error */
int adapter_read_gguf(struct adapter_file *f, struct gguf *file, struct err *e);   /* takes the file over */
int adapter_read_safetensors(struct adapter_file *f, const char *path, struct err *e); /* a folder, or a .safetensors file with adapter_config.json beside it */
void adapter_file_close(struct adapter_file *f);                                   /* fine on a zeroed one */

/* ---- for the readers ---- */

/* Puts half of the pair of the model's tensor `name` into the entries. ERR_FORMAT: it is there already; ERR_MEMORY. */
int adapter_add_half(struct adapter_file *f, struct slice name, enum adapter_half half, const struct tensor *t, float scale, struct err *e);
int adapter_nomem(const struct adapter_file *f, struct err *e);

/* The name of the model's tensor that a module's weight becomes ("model.layers.3.self_attn.q_proj" -> "blk.3.attn_q.weight"), into out. False: the module is not known. */
bool adapter_tensor_name(struct slice module, char out[128]);

#endif
