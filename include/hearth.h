/* hearth.h: the C API of libhearth: open-weight language models on this machine.
 *
 *   hearth_open -> hearth_sequence_new -> hearth_feed -> hearth_sample ... -> hearth_sequence_free -> hearth_close
 *
 * Four things: a model (the file, its tokenizer and a pool of worker threads), sequences of tokens on it, the error that says
 * what went wrong, and structs of options. There is no global state and nothing to initialise.
 *
 * Errors. A function that can fail returns 0 or one of enum hearth_code, and fills the struct hearth_error it was given (NULL is
 * fine) with one line for a person. On failure nothing has changed unless its comment says so.
 *
 * Threads. A model and its sequences are used by one thread at a time; different models may be used by different threads at
 * once. hearth_tokenise, hearth_detokenise, hearth_template and hearth_get_facts only read the model and may be called from any thread
 * at any time; what is asked of a sequence, its length too, belongs to the model's thread. hearth_cancel may be called from any
 * thread and from a signal handler.
 *
 * Stability. Structs of options begin with their size: set them up with their HEARTH_..._INIT, and a program
 * compiled against this header keeps working with later libraries, in which fields are only ever added at the end.
 * Text is UTF-8. Sizes are in bytes. Arguments that are pointers must point to something unless their comment says what NULL means.
 */
#ifndef HEARTH_H
#define HEARTH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hearth_code {
    HEARTH_OK = 0,
    HEARTH_INTERNAL = 1,    /* a mistake of the library's own, noticed */
    HEARTH_USAGE = 2,       /* an argument or option that makes no sense */
    HEARTH_IO = 3,          /* a file that cannot be opened or read */
    HEARTH_FORMAT = 4,      /* a file that is not what it says it is, or a model that gives no numbers */
    HEARTH_UNSUPPORTED = 5, /* well formed, but of a kind that is not known here */
    HEARTH_MEMORY = 6,      /* not enough memory */
    HEARTH_CONTEXT = 7,     /* more tokens than the context, or the caller's array, holds */
    HEARTH_TEXT = 8,        /* text or token ids that the model cannot take */
    HEARTH_TEMPLATE = 9,    /* a chat template that fails */
    HEARTH_CANCELLED = 10   /* hearth_cancel was called */
};

struct hearth_error {
    int code;          /* enum hearth_code */
    char message[512]; /* one line, no newline at its end */
};

/* "MAJOR.MINOR.PATCH"; lives for the program. */
const char *hearth_version(void);

/* ---- models ---- */

typedef struct hearth_model hearth_model;

struct hearth_options {
    size_t size;           /* of this struct */
    int context;           /* tokens a sequence may hold; 0: what the model was made for, or what fits memory */
    int threads;           /* 1024 at most; 0: one per processor this process may use */
    int batch;             /* most tokens of a prompt computed in one step; 0: 512 */
    const char *kv_type;   /* how keys and values are kept: "f32", "f16", "bf16", "q8_0"; NULL: "f16" */
    uint64_t memory_limit; /* bytes that model and one full sequence may take; 0: what the system has */
    int paged;             /* not 0: open a model larger than memory and read its weights from disk as needed */
    int lookup;            /* most tokens guessed at once from the text itself; 0: 15, the most there can be; -1: none */
    const char *draft;     /* a smaller model of the same vocabulary that guesses what this one will say; NULL: none */
};
#define HEARTH_OPTIONS_INIT {sizeof(struct hearth_options), 0, 0, 0, NULL, 0, 0, 0, NULL}

/* Opens a GGUF file; path NULL: the small demonstration model that is part of the library. options NULL: the defaults. *model
 * is owned by the caller and freed by hearth_close. The file stays mapped until then and must not be changed. Guesses change how fast tokens come, never
 * which; where they do not pay none are made. Errors: USAGE (names the option), IO, FORMAT, UNSUPPORTED (also: the draft has another vocabulary), MEMORY (with what is needed and what there is), CONTEXT. */
int hearth_open(hearth_model **model, const char *path, const struct hearth_options *options, struct hearth_error *error);

/* Closes a model and all its sequences. NULL is fine. */
void hearth_close(hearth_model *model);

/* Facts. Strings live as long as the model. */
struct hearth_facts {
    size_t size;              /* of this struct, set by the caller */
    const char *architecture; /* "llama", "qwen3", ... */
    const char *name;         /* general.name of the file, or "" */
    int context;              /* tokens a sequence may hold */
    int context_trained;      /* tokens the model was made for */
    int vocabulary;           /* number of token ids */
    int layers, width;
    int32_t bos, eos;         /* token ids; -1: none */
    int has_template;         /* whether hearth_template works */
    uint64_t file_bytes, sequence_bytes, buffer_bytes; /* the weights, one full sequence, a step's buffers */
};
#define HEARTH_FACTS_INIT {sizeof(struct hearth_facts), NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* Errors: USAGE (size is not that of a struct this library knows). */
int hearth_get_facts(const hearth_model *model, struct hearth_facts *facts, struct hearth_error *error);

/* ---- tokens ---- */

enum hearth_tokenise_flags {
    HEARTH_ADD_SPECIAL = 1,  /* add what the model's own rule adds: BOS, EOS */
    HEARTH_PARSE_SPECIAL = 2 /* the spelling of a control token is that token; otherwise it is text */
};

/* Text to token ids. *count gets the number of tokens; at most `room` are written to ids (NULL with room 0 asks for the number).
 * Bytes that are not UTF-8 are taken as they are, and hearth_detokenise gives them back, where the vocabulary has tokens for single bytes.
 * Errors: TEXT (a byte that the vocabulary has no token for, with its place), MEMORY; CONTEXT when there are more than `room`, with
 * *count set and nothing written. */
int hearth_tokenise(const hearth_model *model, const char *text, size_t length, int flags, int32_t *ids, int room, int *count, struct hearth_error *error);

/* Token ids to the bytes they stand for, control tokens left out. *length gets the number of bytes; at most `room` are written, no
 * NUL is added. Errors: USAGE (a negative count), TEXT (an id outside the vocabulary), MEMORY, CONTEXT as for hearth_tokenise. */
int hearth_detokenise(const hearth_model *model, const int32_t *ids, int count, char *text, size_t room, size_t *length, struct hearth_error *error);

/* Set up by the names of its members, those that are not named are NULL: {.role = "user", .content = "hello"}. Whatever the texts spell, they never
 * become control tokens. */
struct hearth_message {
    const char *role;              /* "system", "user", "assistant", "tool" */
    const char *content;           /* NULL: "" */
    const char *reasoning_content; /* what an assistant thought before its content; NULL or "": nothing */
    const char *tool_calls;        /* JSON: the array of an assistant's calls; NULL: none */
    const char *name;              /* of the tool that a "tool" message answers for; NULL or "": not said */
    const char *tool_call_id;      /* of the call that a "tool" message answers; NULL or "": not said */
};

/* A conversation through the model's own chat template to token ids, ready for the model's next turn. What a call or a thought looks like, and
 * whether it is shown at all, is the template's own. extra_json: NULL, or a JSON object of further template variables, such as
 * {"tools": [...], "enable_thinking": false}; "tools" has the functions that the model may call. ids, room and count as for
 * hearth_tokenise. Errors: USAGE (a negative n_messages, a role of NULL), UNSUPPORTED (the model has no template), TEMPLATE, FORMAT (extra_json
 * or tool_calls), TEXT (not UTF-8, with the message and the byte), MEMORY, CONTEXT. */
int hearth_template(const hearth_model *model, const struct hearth_message *messages, int n_messages, const char *extra_json,
                    int32_t *ids, int room, int *count, struct hearth_error *error);

/* ---- sequences ---- */

typedef struct hearth_sequence hearth_sequence;

/* An empty sequence, owned by the caller. Errors: MEMORY. */
int hearth_sequence_new(hearth_sequence **sequence, hearth_model *model, struct hearth_error *error);

/* NULL is fine. Not after hearth_close, which frees all of a model's sequences. */
void hearth_sequence_free(hearth_sequence *sequence);

/* A second sequence that begins with all of the first's tokens and shares their memory, with the sampling settings of a
 * new one. Computes what is pending first. Errors: MEMORY, CANCELLED. */
int hearth_sequence_fork(hearth_sequence **copy, hearth_sequence *sequence, struct hearth_error *error);

/* Tokens in the sequence, pending ones included. */
int hearth_sequence_length(const hearth_sequence *sequence);

/* Shortens the sequence to at most n tokens, drops what is pending, and returns the length it got to: less than n where the
 * model's memory of the past does not reach back exactly (sliding windows, recurrent layers); feed the rest again. The logits after the last token
 * that stays can be had as ever: hearth_logits and hearth_sample compute them again, unless tokens were fed. The seed's numbers begin anew. */
int hearth_sequence_truncate(hearth_sequence *sequence, int n);

/* Appends tokens. They are computed by the next hearth_sample or hearth_logits on any sequence of the model: sequences that
 * were fed before it share the steps. Errors: USAGE (a negative count), CONTEXT (with both numbers), TEXT (an id outside the vocabulary). */
int hearth_feed(hearth_sequence *sequence, const int32_t *ids, int count, struct hearth_error *error);

/* Logits that predict the token after the last one: `vocabulary` floats, valid until the sequence's next call. Computes what
 * is pending on all sequences. Errors: USAGE (an empty sequence), MEMORY, CANCELLED. */
int hearth_logits(hearth_sequence *sequence, const float **logits, struct hearth_error *error);

struct hearth_logit_bias {
    int32_t id;
    float bias; /* added to the token's logit; -INFINITY forbids the token */
};

struct hearth_sampling {
    size_t size;             /* of this struct */
    float temperature;       /* 0: always the most probable token */
    int top_k;               /* 0: all */
    float top_p;             /* from 0 to 1; 1: all */
    float min_p;             /* from 0 to 1; 0: all */
    float top_n_sigma;       /* 0: all */
    float repeat_penalty;    /* above 0; 1: none */
    float frequency_penalty; /* 0: none */
    float presence_penalty;  /* 0: none */
    int repeat_last_n;       /* tokens that the penalties look back on, 65536 at most; -1: as many as that */
    uint64_t seed;           /* the same seed and settings give the same tokens, whatever else runs */
    const struct hearth_logit_bias *logit_bias; /* [n_logit_bias], borrowed until hearth_set_sampling returns; NULL: none */
    int n_logit_bias;
    const char *const *dry_breakers; /* [n_dry_breakers], borrowed as logit_bias is: texts that no repetition reaches back over; NULL: "\n", ":", "\"" and "*" */
    int n_dry_breakers;      /* 64 at most; 0 beside a pointer: there are none */
    float dry_multiplier;    /* what goes on with a repetition loses multiplier * base^(length - allowed_length) of its logit; 0: nothing does */
    float dry_base;          /* 1 or more */
    int dry_allowed_length;  /* tokens; shorter repetitions cost nothing */
    int dry_penalty_last_n;  /* tokens that repetitions are looked for in, 65536 at most; -1: as many as that */
    float typical_p;         /* from 0 to 1; locally typical sampling; 0 or 1: all */
    float xtc_probability;   /* from 0 to 1; how often the most probable tokens are left out, but for the last of those with */
    float xtc_threshold;     /* at least this probability; from 0 to 1 */
    int mirostat;            /* 2: in place of top_k, top_p, min_p, top_n_sigma, typical_p and XTC; 0: off */
    float mirostat_tau;      /* the surprise that is aimed at, bits */
    float mirostat_eta;      /* how fast */
    float dynatemp_range;    /* so much lower or higher the temperature is, as the entropy is low or high; 0: it stays */
    float dynatemp_exponent; /* how it follows the entropy; 1: evenly */
};
#define HEARTH_SAMPLING_DEFAULTS_ 1, 0, 0, 64, 0, NULL, 0, NULL, 0, 0, 1.75f, 2, -1, 1, 0, 0.1f, 0, 5, 0.1f, 0, 1 /* from repeat_penalty on */
#define HEARTH_SAMPLING_INIT {sizeof(struct hearth_sampling), 0.8f, 40, 0.95f, 0.05f, 0, HEARTH_SAMPLING_DEFAULTS_}
#define HEARTH_GREEDY_INIT {sizeof(struct hearth_sampling), 0, 0, 1, 0, 0, HEARTH_SAMPLING_DEFAULTS_}

/* How the sequence's tokens are chosen from here on; until then, and with sampling NULL, as HEARTH_SAMPLING_INIT says. Starts the seed's numbers
 * anew. Errors: USAGE (names the setting), MEMORY. */
int hearth_set_sampling(hearth_sequence *sequence, const struct hearth_sampling *sampling, struct hearth_error *error);

struct hearth_token {
    int32_t id;
    float logprob;      /* natural log of its probability by the model itself, before the sampling settings */
    int end;            /* not 0: the model ends its turn or its text here; the token was not appended */
    const char *text;   /* the whole characters that it completes, NUL-terminated; may be empty; valid until the sequence's next call */
    size_t text_length; /* bytes */
};

/* Chooses the next token of the sequence and, unless it ends the text, appends it. Computes what is pending on all sequences, so
 * that calling it for each of several sequences in turn costs one step for all. Errors: those of hearth_logits; CONTEXT when
 * the sequence is full; FORMAT when the model gives numbers that are not finite. MEMORY from a draft model comes after the token was appended. */
int hearth_sample(hearth_sequence *sequence, struct hearth_token *token, struct hearth_error *error);

/* Makes the call that is computing on the model, or the next one, return CANCELLED after the step under way. What was computed
 * stays; calling again goes on. */
void hearth_cancel(hearth_model *model);

#ifdef __cplusplus
}
#endif

#endif
