/* departure.h: a line in the log that says where a prompt departs from one that is known, so that the owner can see what keeps a client's prompts from being found in the
 * cache. It has a few words of the prompt in it and is written with the level info, that is, only when the owner asked for it (--verbose): without that, nothing
 * of any text is ever in the log. */
#ifndef HEARTH_DEPARTURE_H
#define HEARTH_DEPARTURE_H

#include "serve/answer.h"

/* Of a JOB_STARTED with a departure; once for an answer. */
void departure_log(const struct answer *a, const struct job_event *ev);

#endif
