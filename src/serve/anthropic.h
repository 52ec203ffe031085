/* anthropic.h: the Anthropic dialect: /v1/messages, counting its tokens, and /v1/models for clients that send anthropic-version.
 *
 * What was decided where that API leaves room, or where this is another place:
 * - anthropic-version may be missing and may be any; anthropic-beta likewise: what betas add is known by its members. `model` may be missing: the default one.
 * - Thinking is signed with a mark and taken back whoever signed it; redacted_thinking is left out. Citations are never made. Empty blocks of text say nothing.
 * - input_tokens are those that neither came from the cache nor go into it; all that can be kept is kept, with or without cache_control, whose ttl only says under which
 *   name it is counted.
 * - Tools that clients run are known by their types (bash, text_editor, memory); those that the API's servers run are refused by name, as are pictures, PDFs, addresses
 *   to fetch, threads, compaction, containers, MCP servers and batches.
 * - A prefill and thinking of the type "enabled" exclude each other; with "adaptive" the answer goes on without thinking. */
#ifndef HEARTH_ANTHROPIC_H
#define HEARTH_ANTHROPIC_H

#include "serve/answer.h"

extern const struct http_dialect anthropic_dialect;

/* Read the bodies of both; errors name the field. */
int anthropic_read(struct answer *a, const json_t *body, struct err *e);
/* output_config.format, and output_format as it was called before. */
int anthropic_format(struct answer *a, const struct body_at *at, struct err *e);
int anthropic_read_count(struct answer *a, const json_t *body, struct err *e);

#endif
