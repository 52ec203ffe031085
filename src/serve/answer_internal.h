/* answer_internal.h: what answer.c and service.c share. */
#ifndef HEARTH_ANSWER_INTERNAL_H
#define HEARTH_ANSWER_INTERNAL_H

#include "serve/answer.h"

/* Holds a reference to the request, which it is tied to. NULL: out of memory. */
struct answer *answer_new(struct service *s, struct http_request *r, const struct endpoint *endpoint);
void answer_hear(void *ctx, const struct job_event *ev); /* ctx: a struct choice; the scheduler's thread */
void answer_fail(struct answer *a, int unsubmitted, const struct err *e); /* those of its choices have no job */
void answer_refuse(struct answer *a, int status, const char *message); /* before anything was submitted */
/* Of an endpoint's `instead`: all is computed, or e says why not. Any thread; the answer may be gone from here on. */
void answer_over(struct answer *a, const struct err *e);
void answer_count(struct answer *a); /* replies with what is known before anything is computed */

/* Runs then(a) on a front thread soon. False: it will not be run; memory is out, or the service is stopping. */
bool service_send_back(struct service *s, struct answer *a, void (*then)(struct answer *a));

#endif
