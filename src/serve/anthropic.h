/* anthropic.h: the Anthropic dialect: /v1/messages and counting its tokens. */
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
