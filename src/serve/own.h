/* own.h: what only Hearth has: the web page, and what it shows (web/API.md says how): /slots, /metrics, /api/machine, /api/ledger. Errors are as in the OpenAI dialect. */
#ifndef HEARTH_OWN_H
#define HEARTH_OWN_H

#include "serve/answer.h"

extern const struct http_dialect own_dialect;

/* GET /api/ledger; on a front thread. */
void own_ledger(struct service *s, struct http_request *r);

/* GET /api/machine and GET /metrics; on a front thread. */
void own_machine(struct service *s, struct http_request *r);
void own_metrics(struct service *s, struct http_request *r);

#endif
