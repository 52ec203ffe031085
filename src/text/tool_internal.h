/* tool_internal.h: what the files of the tool-call parser share. Not for others.
 *
 * A syntax is a list of marks; behind each stands a small program that reads what follows the mark. Programs are written with
 * the macros below, from left to right as a call is written, so that a syntax is data and one interpreter (tool_run.c) does
 * the streaming, the holding back and the giving back for all of them.
 */
#ifndef HEARTH_TEXT_TOOL_INTERNAL_H
#define HEARTH_TEXT_TOOL_INTERNAL_H

#include "text/toolcall.h"

/* ---- programs */

enum tool_code {
    OP_DONE,       /* back to text; if no call and no frame was read since the mark, all of it is text */
    OP_LIT,        /* a must follow */
    OP_SKIP,       /* a may follow */
    OP_WS,         /* white space may follow */
    OP_WHEN,       /* if a follows, past it and on; else behind ELSE or END */
    OP_PEEK,       /* the same, but a is not read */
    OP_ELSE,
    OP_END,
    OP_WHILE,      /* if a follows, past it and on to AGAIN, which returns here; else behind AGAIN */
    OP_UNTIL,      /* if a follows, past it and behind AGAIN; else on to AGAIN, which returns here */
    OP_AGAIN,
    OP_NAME,       /* the name of a tool, up to a or b */
    OP_TOKEN,      /* anything up to a */
    OP_ID_FROM,    /* the call's id begins here */
    OP_ID_TO,      /* ... and ends here */
    OP_ENVELOPE,   /* a whole call as a JSON object: name, arguments, id */
    OP_ARGS,       /* the arguments, one object in the notation `how` */
    OP_CALL_END,
    OP_KEY,        /* the name of one argument, up to a; how: 1 = an identifier */
    OP_VALUE,      /* its value in the notation `how` */
    OP_RAW,        /* its value as it stands, up to a, which is read, where one of `follow` follows; how: raw_how */
    OP_TREE,       /* its value as tags in tags, b the mark before each tag, up to the tag that closes it; a is b and "</" */
    OP_OBJECT_END, /* no more arguments */
    OP_TO_TEXT,    /* a frame: text from here on */
    OP_TO_REASONING,
};

struct tool_op {
    enum tool_code code;
    const char *a, *b;
    int how;
    const char *const *follow;
};

enum notation { NOTE_JSON, NOTE_PYTHON, NOTE_GEMMA };
enum raw_how {
    RAW_BY_SCHEMA = 0,
    RAW_IS_TEXT = 1,  /* a string, whatever the schema says */
    RAW_IS_JSON = 2,  /* JSON where it is valid */
    RAW_IN_LINES = 4, /* a line break behind the opening and before the closing mark are not part of it */
};

#define DONE {.code = OP_DONE}
#define LIT(s) {.code = OP_LIT, .a = (s)}
#define SKIP(s) {.code = OP_SKIP, .a = (s)}
#define WS {.code = OP_WS}
#define WHEN(s) {.code = OP_WHEN, .a = (s)}
#define PEEK(s) {.code = OP_PEEK, .a = (s)}
#define ELSE {.code = OP_ELSE}
#define END {.code = OP_END}
#define WHILE(s) {.code = OP_WHILE, .a = (s)}
#define UNTIL(s) {.code = OP_UNTIL, .a = (s)}
#define AGAIN {.code = OP_AGAIN}
#define NAME(stop) {.code = OP_NAME, .a = (stop)}
#define NAME2(stop, or) {.code = OP_NAME, .a = (stop), .b = (or)}
#define TOKEN(stop) {.code = OP_TOKEN, .a = (stop)}
#define ID_FROM {.code = OP_ID_FROM}
#define ID_TO {.code = OP_ID_TO}
#define ENVELOPE {.code = OP_ENVELOPE}
#define ARGS(notation) {.code = OP_ARGS, .how = (notation)}
#define CALL_END {.code = OP_CALL_END}
#define KEY(stop) {.code = OP_KEY, .a = (stop)}
#define IDENTIFIER(stop) {.code = OP_KEY, .a = (stop), .how = 1}
#define VALUE(notation) {.code = OP_VALUE, .how = (notation)}
#define RAW(stop, then, flags) {.code = OP_RAW, .a = (stop), .follow = (then), .how = (flags)}
#define TREE(mark) {.code = OP_TREE, .a = mark "</", .b = mark "<"}
#define OBJECT_END {.code = OP_OBJECT_END}
#define TO_TEXT {.code = OP_TO_TEXT}
#define TO_REASONING {.code = OP_TO_REASONING}

/* Calls as JSON objects, alone, in a row or in a list, up to `end`; and a list of them that ends itself. */
#define JSON_CALLS(end) WS, SKIP("["), WS, UNTIL(end), ENVELOPE, WS, SKIP(","), SKIP("]"), WS, AGAIN
#define JSON_LIST WS, UNTIL("]"), ENVELOPE, WS, SKIP(","), WS, AGAIN
/* Behind NAME( : keyword arguments up to the closing parenthesis */
#define KEYWORDS WS, UNTIL(")"), IDENTIFIER("="), LIT("="), WS, VALUE(NOTE_PYTHON), WS, SKIP(","), WS, AGAIN, OBJECT_END, CALL_END

/* ---- syntaxes */

enum mark_where {
    IN_TEXT = 1,      /* anywhere in text */
    AT_START = 2,     /* only where nothing but white space has come since the beginning, a call, a frame or reasoning */
    IN_REASONING = 4, /* anywhere in reasoning: a control token that no model writes by accident */
    FOR_CALLS = 8,    /* only when tools are given */
    KEPT = 16,        /* the program reads the mark itself; with AT_START only */
};

struct tool_mark {
    const char *text; /* may be empty with AT_START: whatever comes */
    unsigned where;
    const struct tool_op *program;
};

enum { TOOL_MARKS_MAX = 12, TOOL_ANY_MAX = 4 };

struct tool_syntax {
    const char *name, *models;
    const char *any[TOOL_ANY_MAX]; /* a template spells one of these */
    const char *also;              /* and this, unless NULL */
    struct tool_mark marks[TOOL_MARKS_MAX]; /* text NULL behind the last; where several fit, the first counts */
    struct tool_writing writing;
    struct tool_frame frame; /* NULL: nothing, and the reasoning marks of the template */
};

#define WRITING(kind, first, before, after, over, next, last) \
    {.begin = (first), .name_before = (before), .name_after = (after), .call_end = (over), .between = (next), .end = (last), .arguments = (kind), \
     .key_before = "", .key_after = "", .value_after = ""}
#define TAGGED_WRITING(first, before, after, over, next, last, key, behind_key, behind_value, behind_key_json) \
    {.begin = (first), .name_before = (before), .name_after = (after), .call_end = (over), .between = (next), .end = (last), .arguments = TOOL_ARGS_TAGGED, \
     .key_before = (key), .key_after = (behind_key), .value_after = (behind_value), .key_after_json = (behind_key_json)}

/* ---- tool_value.c: one value, turned into JSON byte by byte */

enum value_status { VALUE_MORE, VALUE_DONE, VALUE_BAD, VALUE_NO_MEMORY };
enum value_type { TYPE_STRING = 1, TYPE_NUMBER = 2, TYPE_BOOL = 4, TYPE_NULL = 8, TYPE_ARRAY = 16, TYPE_OBJECT = 32 };

struct tool_value {
    enum notation notation;
    enum value_status status;
    unsigned type;  /* of the whole value, once it has begun */
    uint8_t state, number;
    char quote;     /* of the string that is being read; 0: the notation's mark */
    bool triple, is_key, comma; /* comma: one is owed before the next item */
    uint32_t depth;
    uint8_t in_object[TOOL_DEPTH_MAX / 8]; /* a bit for each level */
};

void value_begin(struct tool_value *v, enum notation notation);
/* Reads as much of the n bytes as can be decided and appends its JSON to out. Returns the bytes read; those left must come again with more behind
 * them. JSON in JSON notation comes out as it went in, save that control characters in strings are escaped. `final`: nothing follows. */
size_t value_read(struct tool_value *v, const char *s, size_t n, bool final, struct buf *out);
bool value_escape(struct buf *out, const char *s, size_t n); /* as the inside of a JSON string */

/* ---- tool_schema.c: which types a tool's schema admits for an argument */

struct tool_schemas;
struct tool_schemas *tool_schemas_new(const struct tool_spec *tools, size_t n); /* NULL: memory is out */
void tool_schemas_free(struct tool_schemas *s);
/* What the value at that path (an argument's name, then names within it, "item" for an item of an array) may be: a union of value_type; 0: the schema
 * leaves it open. false: memory is out. */
bool tool_schemas_types(struct tool_schemas *s, size_t tool, const char *const *path, size_t n, unsigned *types);

/* ---- toolcall.c: the parser */

enum match { NO, MAYBE, YES }; /* MAYBE: more must come first */
enum step { STEP_ON, STEP_WAIT, STEP_FAIL };

enum envelope_state { ENV_OPEN, ENV_FIRST_KEY, ENV_KEY, ENV_COLON, ENV_VALUE, ENV_ARGS, ENV_ARGS_TEXT, ENV_AFTER };
enum envelope_key { KEY_NAME, KEY_FUNCTION, KEY_ARGS, KEY_ID, KEY_TYPE };
struct envelope {
    enum envelope_state state;
    enum envelope_key key;
    bool inner; /* inside {"function": {...}} */
    bool has_name, has_args;
    char pending[16]; /* of arguments in a string: what was unescaped and cannot be read yet */
    size_t n_pending;
};

struct raw_state {
    bool entered, is_string, lines; /* a string that is streaming; a line break stood behind the mark */
    unsigned types;
    size_t from;           /* where the value begins, in `in` */
};

enum { TREE_DEPTH_MAX = 32 };
enum tree_phase { TREE_CONTENT, TREE_LEAF, TREE_CHILD, TREE_BETWEEN, TREE_CLOSE };
struct tree_state {
    enum tree_phase phase;
    size_t depth;                   /* of tags that are open within the argument's */
    size_t name[TREE_DEPTH_MAX];    /* of each, its place in `names` */
    bool array[TREE_DEPTH_MAX + 1]; /* what the argument and each tag that has tags in it is; the next has a comma in front */
    bool has_child[TREE_DEPTH_MAX + 1];
    struct buf names;               /* each with a NUL behind it */
};

/* An event, its slices as places in `out` */
struct tool_note {
    enum tool_event_kind kind;
    uint32_t index;
    bool complete;
    size_t from, to, id_from, id_to;
    struct slice name;
};

struct tool_parser {
    struct tool_options o;
    struct tool_schemas *schemas;
    struct tool_mark marks[TOOL_MARKS_MAX + 2];
    size_t n_marks;
    bool first[256]; /* whether a mark begins with this byte */

    struct buf in;   /* what is not accounted for yet, from `at` on */
    size_t at;       /* all before it has come out as an event or was a mark */
    size_t pos;      /* all before it has been looked at */
    size_t solid;    /* in text: behind the last byte that is no white space */
    bool final, broken; /* the answer has ended; memory ran out */

    bool reasoning, at_start, drop_space; /* the channel; see AT_START; white space that touches a mark is being passed over */

    const struct tool_op *program, *op; /* NULL: text */
    bool entered;    /* the operation op has begun */
    bool accounted;  /* a call has ended or a frame been read since the mark */
    const struct tool_spec *tool;
    bool begun, args_done, has_key;
    uint32_t n_calls;
    size_t id_from;
    struct buf id, key, held;
    struct tool_value value;
    struct envelope envelope;
    struct raw_state raw;
    struct tree_state tree;

    struct buf out;
    struct tool_note *notes;
    size_t n_notes, notes_cap;
    struct tool_event *events;
    size_t events_cap;
};

static inline bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
static inline const char *here(const struct tool_parser *p) { return p->in.data + p->pos; }
static inline size_t left(const struct tool_parser *p) { return p->in.len - p->pos; }

enum match look(const struct tool_parser *p, size_t at, const char *literal); /* whether literal stands at `at` */
void skip_space(struct tool_parser *p);                                       /* moves pos */
void account(struct tool_parser *p);                                          /* all before pos has come out */

/* Opens an event, or goes on with the last one of that kind; its bytes are then appended to out, and note_end closes it. */
bool note_begin(struct tool_parser *p, enum tool_event_kind kind);
void note_end(struct tool_parser *p);
bool arguments_add(struct tool_parser *p, const char *s, size_t n);

/* The tool of that name (p->tool), if a call may come now. MAYBE: it is only the beginning of one. */
enum match find_tool(struct tool_parser *p, struct slice name);
bool call_begin(struct tool_parser *p);
bool call_end(struct tool_parser *p, bool complete);

/* ---- tool_run.c, tool_envelope.c, tool_raw.c, tool_tree.c: the operations. Memory that is out is told by p->broken. */
enum step tool_step(struct tool_parser *p);
enum step envelope_step(struct tool_parser *p);
enum step raw_step(struct tool_parser *p);
enum step tree_step(struct tool_parser *p);
bool types_here(struct tool_parser *p, unsigned *types); /* of the value that is being read */
enum step value_stream(struct tool_parser *p); /* p->value from pos into the arguments */
static inline enum step no_memory(struct tool_parser *p) {
    p->broken = true;
    return STEP_FAIL;
}

/* ---- the rows, in the order in which they are tried (tool_table.c) */
extern const struct tool_syntax tool_apertus, tool_apriel, tool_command_r, tool_command_r1, tool_deepseek, tool_dsml, tool_functionary31,
    tool_functionary32, tool_gemma, tool_generic, tool_gigachat, tool_glm, tool_granite, tool_harmony, tool_hermes, tool_hunyuan, tool_kimi,
    tool_lfm2, tool_llama3, tool_minimax, tool_minimax_m1, tool_minimax_m3, tool_mistral, tool_muse, tool_nemotron, tool_pythonic, tool_qwen_xml, tool_seed,
    tool_solar;

#endif
