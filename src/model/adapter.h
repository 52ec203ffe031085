/* adapter.h: low-rank adapters of a model (LoRA, Hu et al. 2021): read from files, checked against the model, ready for its graph.
 *
 * Three kinds of files are known: GGUF as llama.cpp writes it; PEFT's folder (adapter_config.json and adapter_model.safetensors), or that
 * .safetensors file with its configuration beside it; and the same of MLX (adapters.safetensors). The names of the latter two are
 * mapped to those of the model's tensors, and the rows of queries and keys turned where the model's own were when it was converted. Everything is
 * checked: a module that is not known, a shape that does not fit, or a kind of training that more than two matrices came of, is an error that
 * names the tensor or the setting.
 *
 * An activated adapter (Greenewald et al. 2025) acts only from its invocation on, a sequence of tokens that it was trained with: what stands before it is
 * what the model alone makes of it.
 *
 * An adapter holds copies of its numbers, as F32, F16 or BF16 as they were stored (of other types as F32): its files are closed after opening. It is
 * constant from then on and may be used by many engines and threads. The model must outlive it.
 */
#ifndef HEARTH_ADAPTER_H
#define HEARTH_ADAPTER_H

#include "model/model.h"

struct adapter;

/* scale multiplies what the file says the adapter's effect is; 1: as trained. Errors: those of gguf_open and safetensors_open; ERR_IO, ERR_FORMAT and ERR_UNSUPPORTED
 * for the configuration and for tensors that do not fit the model; ERR_MEMORY. */
int adapter_open(struct adapter **a, const char *path, const struct model *m, float scale, struct err *e);
int adapter_open_gguf(struct adapter **a, struct gguf *file, const struct model *m, float scale, struct err *e); /* takes the file over, also on error */
void adapter_close(struct adapter *a); /* NULL is fine; engines must have removed it */

/* What an adapter's files say of it, without a model beside them. Texts are cut where they are longer. */
struct adapter_about {
    char arch[64];   /* "": they do not say */
    char base[256];  /* the model it was trained on: a name, an address or a path, as they have it; "" likewise */
    uint64_t bytes;  /* of its numbers, as they are stored */
    bool activated;
};
int adapter_describe(struct adapter_about *about, const char *path, struct err *e); /* errors of adapter_open that need no model */

const char *adapter_path(const struct adapter *a);
const struct model *adapter_model(const struct adapter *a);
const struct low_rank *adapter_list(const struct adapter *a, int *n); /* its additions; for graph_adapter_add */
uint64_t adapter_bytes(const struct adapter *a);                      /* of memory that it holds */

/* Whether it is an activated one. */
bool adapter_is_activated(const struct adapter *a);

/* From which position on it acts on the tokens ids: 0 for an ordinary one, else where its invocation begins for the last time. -1: it is not there. */
int adapter_start(const struct adapter *a, const int32_t *ids, int n);

#endif
