/* forms.h: compiled forms of answers (text/answer_grammar.h), kept, so that who sends the same schemas again pays nothing.
 *
 * There is one struct forms for each vocabulary. Its table of the vocabulary is made when the first form is asked for. Forms are counted: forms_get gives one
 * reference, form_ref another, form_done gives one back; what nobody holds stays for the next who asks, the longest unused go first when
 * there are many, or when they have learnt much.
 *
 * Any thread may get and give back forms. All matchers of a form learn together, so they are for one thread: that of the scheduler.
 */
#ifndef HEARTH_FORMS_H
#define HEARTH_FORMS_H

#include "text/answer_grammar.h"

enum { FORMS_KEPT = 64, FORMS_BYTES = 256 << 20 /* of those that nobody holds */ };

struct forms;
struct form;

/* The tokenizer outlives it. ERR_MEMORY. */
int forms_new(struct forms **f, const struct tokenizer *t, struct err *e);
void forms_free(struct forms *f); /* nobody holds any of its forms; NULL is fine */

/* Compiles the form unless it is there. *bad and errors as grammar_of_answer's. May take long; others may get other forms meanwhile. */
int forms_get(struct forms *f, const struct answer_form *what, struct form **form, int *bad, struct err *e);
struct form *form_ref(struct form *f);
void form_done(struct form *f); /* NULL is fine */

const struct grammar_vocab *form_vocab(const struct form *f);

/* A matcher at the start; form_leave frees it. The scheduler's thread. ERR_MEMORY. */
int form_enter(struct form *f, struct matcher **m, struct err *e);
void form_leave(struct form *f, struct matcher *m); /* NULL is fine */

struct forms_counts {
    int kept;          /* forms there are, held or not */
    uint64_t made, found;
};
struct forms_counts forms_counts(struct forms *f); /* any thread */

#endif
