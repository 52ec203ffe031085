/* rerank.h: a query and a document as the one text that a reranker reads. */
#ifndef HEARTH_RERANK_H
#define HEARTH_RERANK_H

#include "gguf/gguf.h"
#include "text/tokenizer.h"

/* Appends the tokens of the pair to ids, and for each its segment (0: the query's, 1: the document's) to segments, which has as many entries; both are
 * the caller's, also after an error. The file says how: by a template with {query} and {document} in it (tokenizer.chat_template.rerank; all is then segment 0), or by what begins,
 * parts and ends its texts. Only the template's own bytes may become control tokens. ERR_UNSUPPORTED: the file says neither; ERR_FORMAT: a template
 * without the two; those of tokenizer_encode. */
int rerank_pair(const struct tokenizer *t, const struct gguf *file, struct slice query, struct slice document, struct tokens *ids, struct tokens *segments, struct err *e);

#endif
