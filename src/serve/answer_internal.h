/* answer_internal.h: what answer.c and service.c share. */
#ifndef HEARTH_ANSWER_INTERNAL_H
#define HEARTH_ANSWER_INTERNAL_H

#include "serve/answer.h"

/* Holds a reference to the request, which it is tied to. NULL: out of memory. */
struct answer *answer_new(struct service *s, struct http_request *r, const struct endpoint *endpoint);
void answer_hear(void *ctx, const struct job_event *ev); /* ctx: a struct choice; the scheduler's thread */
void answer_fail(struct answer *a, int unsubmitted, const struct err *e); /* those of its choices have no job */
void answer_refuse(struct answer *a, int status, const char *message); /* before anything was submitted */
void answer_count(struct answer *a); /* replies with what is known before anything is computed */

#endif
