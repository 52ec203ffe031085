/* responses.h: answers that clients may ask for again, and continue: what was asked and what was answered, as JSON texts, in an SQLite file.
 *
 * An answer belongs to the client that asked for it, and only that one can read, continue or remove it. What continues another answer belongs to
 * the same conversation; a conversation goes as a whole, when nothing was added to it for limits.age_s seconds, or, the one that was continued
 * longest ago first, when all together take more than limits.bytes.
 *
 * Acknowledged. An answer is on the disk when its `done` was called without an error, or responses_write returned 0: neither kill -9 nor a power
 * failure takes it away, as far as the disk keeps what it says it has written. One thread of the store's own writes, so that nobody else waits
 * for the disk. All other functions are for any thread, opening and closing aside, and wait for what is being written.
 *
 * The file is its owner's alone (0600); removed answers are overwritten in it. Several processes may use the same file.
 */
#ifndef HEARTH_RESPONSES_H
#define HEARTH_RESPONSES_H

#include "base/err.h"
#include "base/mem.h"

struct response_row {
    struct slice id, client, previous; /* previous: the id of the answer that this one continues; empty: none */
    int64_t created_s;                 /* since 1970 UTC */
    struct slice object, input;        /* JSON: the answer; what was asked */
};

struct responses_limits {
    int64_t age_s;
    uint64_t bytes; /* of texts */
};

enum { RESPONSES_ID = 128 /* bytes of an id, at most */ };

/* Answers of a conversation that are read to continue it, and bytes of their texts. */
enum { RESPONSES_CHAIN = 8192, RESPONSES_CHAIN_BYTES = 256 << 20 };

struct responses;

/* Opens the store at path, making it and its folders where there is none; path NULL: in memory, and gone with the process. path is copied. ERR_IO, ERR_FORMAT,
 * ERR_UNSUPPORTED, ERR_MEMORY. */
int responses_open(struct responses **r, const char *path, struct responses_limits limits, struct err *e);

/* Writes what waits and frees r; nobody may be inside. NULL is fine. */
void responses_close(struct responses *r);

/* Called by the store's thread, once: e is NULL when the answer is acknowledged, else says why it is not kept. It must be brief and may call nothing here but
 * responses_put. */
typedef void responses_done(void *ctx, const struct err *e);

/* Hands a copy over and never waits for the disk; of a client's answers with the same id it takes the place. Not 0: nothing was taken and done will not be
 * called: ERR_MEMORY; ERR_USAGE: an id that is empty or too long; ERR_IO: RESPONSES_QUEUE wait already. */
enum { RESPONSES_QUEUE = 1024 };
int responses_put(struct responses *r, const struct response_row *row, responses_done *done, void *ctx, struct err *e);

/* The same, waiting until it is acknowledged. */
int responses_write(struct responses *r, const struct response_row *row, struct err *e);

/* Calls each with the answer; what it is given is valid during the call, which may call nothing here. A value other than 0 is returned, as are ERR_NOT_FOUND: the
 * client has none of that id; ERR_IO; ERR_FORMAT: the file is damaged; ERR_MEMORY. */
typedef int responses_each(void *ctx, const struct response_row *row, struct err *e);
int responses_read(struct responses *r, struct slice client, struct slice id, responses_each *each, void *ctx, struct err *e);

/* The same for all answers of the conversation up to this one, the first first. ERR_NOT_FOUND too when one of them is missing; ERR_CONTEXT: more than
 * RESPONSES_CHAIN, or of more than RESPONSES_CHAIN_BYTES. */
int responses_chain(struct responses *r, struct slice client, struct slice id, responses_each *each, void *ctx, struct err *e);

int responses_remove(struct responses *r, struct slice client, struct slice id, struct err *e); /* errors as of responses_read */

#endif
