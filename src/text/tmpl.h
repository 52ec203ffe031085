/* tmpl.h: the parts of the template engine as they see each other: tokens, the tree, the evaluator.
 *
 * Source -> tmpl_lex.c -> tokens -> tmpl_parse.c, tmpl_expr.c -> tree -> tmpl_exec.c (statements), tmpl_eval.c (expressions)
 * -> text with marks. Filters, tests, methods and global functions are rows of tables in tmpl_filters*.c, tmpl_tests.c,
 * tmpl_methods*.c and tmpl_globals.c; each row gives its parameters' names, so that one binder (tmpl_call.c) serves all.
 *
 * Convention: a function that returns a `val`, a pointer or a bool returns NULL or false after it has set the evaluator's
 * error with fail(); its caller only passes that on. One evaluator belongs to one thread.
 */
#ifndef HEARTH_TMPL_H
#define HEARTH_TMPL_H

#include "text/template.h"
#include "text/tmpl_value.h"

/* ---- tokens (tmpl_lex.c) ---- */

enum token_type {
    T_END, T_DATA, T_VARIABLE_BEGIN, T_VARIABLE_END, T_BLOCK_BEGIN, T_BLOCK_END,
    T_NAME, T_STRING, T_INTEGER, T_FLOAT,
    T_ADD, T_SUB, T_DIV, T_FLOORDIV, T_MUL, T_MOD, T_POW, T_TILDE,
    T_LBRACKET, T_RBRACKET, T_LPAREN, T_RPAREN, T_LBRACE, T_RBRACE,
    T_EQ, T_NE, T_GT, T_GE, T_LT, T_LE, T_ASSIGN, T_DOT, T_COLON, T_PIPE, T_COMMA, T_SEMICOLON,
};

struct token {
    enum token_type type;
    uint32_t line, column; /* from 1; columns in bytes */
    struct slice text;     /* of T_DATA and T_NAME: the bytes; of others: as written */
    val value;             /* of T_STRING, T_INTEGER, T_FLOAT */
};

/* Cuts source (normalised line ends, valid UTF-8) into tokens that end with T_END. All live in a. */
int tmpl_lex(struct arena *a, struct slice source, struct token **tokens, size_t *count, struct err *e);

/* ---- the tree ---- */

enum node_kind {
    /* expressions */
    N_CONST, N_NAME, N_NSREF, N_TUPLE, N_LIST, N_DICT, N_GETATTR, N_GETITEM, N_SLICE, N_CALL, N_FILTER, N_TEST,
    N_NOT, N_NEG, N_POS, N_AND, N_OR, N_BINARY, N_COMPARE, N_CONCAT, N_COND,
    /* statements */
    N_TEXT, N_PRINT, N_IF, N_FOR, N_SET, N_SET_BLOCK, N_MACRO, N_CALL_BLOCK, N_FILTER_BLOCK, N_WITH, N_SCOPE,
    N_GENERATION, N_BREAK, N_CONTINUE, N_BLOCK, N_REFUSED,
};

enum { OP_IN = 100, OP_NOT_IN }; /* operators of comparisons that are no single token; the others are token types */

/* MACRO nodes: which special names the body uses, and whether a parameter is called `caller` */
enum { MACRO_CALLER = 1, MACRO_KWARGS = 2, MACRO_VARARGS = 4, MACRO_EXPLICIT_CALLER = 8 };

/* Arguments as written: positional and keyword (value = name, a = expression) lists, then *star and **star_star. */
struct call_nodes {
    struct node *positional, *keywords, *star, *star_star;
};

/* The meaning of a to d by kind; lists hang together by `next`.
 *   NAME value                       NSREF value, a = NAME of the namespace     TUPLE, LIST a = items
 *   DICT a = key, value, key, ...    GETATTR a . value                          GETITEM a [ b ]  (b may be a SLICE b:c:d)
 *   CALL a (call)                    FILTER a | value (call), a may be NULL     TEST a is value (call)
 *   NOT NEG POS a                    AND OR BINARY a op b                       COMPARE a, then b = operands (op, a)
 *   CONCAT a = items                 COND b if a else c
 *   TEXT value                       PRINT a                                    IF a: b, else c
 *   FOR a in b if c: d, else e, flag: recursive                                 SET a = b
 *   SET_BLOCK a, filter b: c         MACRO value, a = parameters (NAME, a = default), b = body, flag: MACRO_*
 *   CALL_BLOCK a = CALL, b = MACRO   FILTER_BLOCK filter a: b                   WITH a = targets, b = values: c
 *   SCOPE GENERATION BLOCK a = body  REFUSED value = message */
struct node {
    uint8_t kind, op, flag;
    uint32_t line, column;
    struct node *a, *b, *c, *d, *e, *next;
    val value;
    const struct builtin *row; /* FILTER, TEST: NULL when there is none of that name */
    struct call_nodes *call;
};

struct template {
    struct arena mem;
    struct node *body;
    val caller, kwargs, varargs, loop; /* the names that the engine itself binds */
};

/* ---- the parser (tmpl_parse.c: statements, tmpl_expr.c: expressions) ---- */

struct parser {
    struct arena *mem;
    const struct token *at; /* the current token; the last one is T_END */
    struct err *err;
    struct val_names *names;
    int code;        /* of the error */
    unsigned depth;  /* of nested expressions and statements */
    unsigned loops;  /* open `for` loops that break and continue may address */
    uint8_t special; /* MACRO_* names seen in the macro being read */
};

enum { PARSE_DEPTH = 200 };

struct node *parse_fail(struct parser *p, const struct token *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
struct node *parse_node(struct parser *p, enum node_kind kind, const struct token *at);
bool parse_deeper(struct parser *p); /* false: too deep; otherwise undo by p->depth-- */
val parse_name_value(struct parser *p, struct slice name); /* one value per name: scopes compare pointers */
bool parse_expect(struct parser *p, enum token_type type);
bool token_is(const struct token *t, const char *name); /* a T_NAME with this text */
const char *token_describe(enum token_type type);

struct node *parse_expression(struct parser *p, bool with_condition);
struct node *parse_tuple(struct parser *p, bool with_condition, bool parenthesised);
struct node *parse_primary(struct parser *p);
struct node *parse_target(struct parser *p, bool with_namespace);
struct node *parse_filter(struct parser *p, struct node *subject, bool inline_start);

/* ---- the evaluator ---- */

struct arg {
    val name, value;
};
struct args {
    val *at;
    size_t n;
    struct arg *named;
    size_t n_named;
};

struct ev;
typedef val builtin_fn(struct ev *ev, val self, val *argv, const struct args *args);

/* One filter, test, method or global function. `self` is the filtered or tested value, or the method's object. */
struct builtin {
    const char *name;
    builtin_fn *fn;
    const char *params;   /* names separated by spaces, "-" for one that cannot be named; NULL: takes args as they are */
    uint8_t required;     /* how many of them must be given; argv holds NULL for others not given */
};                        /* fn NULL: a method that the sandbox refuses because it changes its object */

struct scope {
    struct scope *parent;
    struct {
        val name, value;
    } *at;
    size_t n, cap;
};

enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };

enum { EVAL_DEPTH = 1200 };

struct sink;
struct ev {
    const struct template *t;
    struct arena *mem;
    struct err *err;
    int code; /* of the error, once one is set */
    val context;
    struct scope *root, *scope;
    struct sink *out;
    val captured; /* what a filter without a subject filters: the text of its block */
    const struct node *at; /* what is being evaluated, for messages */
    uint64_t steps;        /* left */
    unsigned depth;
    enum flow flow;
    const struct render_options *options;
};

val fail(struct ev *ev, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* ERR_TEMPLATE; returns NULL */
val fail_undefined(struct ev *ev, val undefined);
val fail_memory(struct ev *ev);
bool spend(struct ev *ev, uint64_t steps);
bool spend_text(struct ev *ev, val v); /* for reading v once, where it is a string */
bool deeper(struct ev *ev); /* false: too deep; otherwise undo by ev->depth-- */
void *take(struct ev *ev, size_t count, size_t size); /* zeroed memory */

/* tmpl_eval.c, tmpl_exec.c */
val eval(struct ev *ev, const struct node *n);
bool exec_body(struct ev *ev, const struct node *body);
bool assign(struct ev *ev, const struct node *target, val value);
bool scope_set(struct ev *ev, struct scope *s, val name, val value);
struct scope *scope_new(struct ev *ev, struct scope *parent);
bool eval_args(struct ev *ev, const struct call_nodes *call, struct args *args);
val get_attr(struct ev *ev, val object, val name); /* x.name */
val get_item(struct ev *ev, val object, val key);  /* x[key] */
val method_of(struct ev *ev, val object, val name); /* bound, or an undefined that says "unsafe"; NULL and no error: none */
val own_attr(struct ev *ev, val object, val name);   /* what getattr finds; NULL and no error: nothing */
val unsafe_attr(struct ev *ev, val object, val name); /* an undefined that says so when it is used */
val get_slice(struct ev *ev, val object, val start, val stop, val step); /* none for what is not given */

/* tmpl_call.c */
struct macro {
    const struct node *node;
    struct scope *scope; /* where it was defined */
};
val call_value(struct ev *ev, val callee, const struct args *args);
val call_builtin(struct ev *ev, const struct builtin *row, val self, const struct args *args);
val apply_filter(struct ev *ev, val name, val subject, const struct args *args);
val apply_test(struct ev *ev, val name, val subject, const struct args *args);
const struct builtin *find_builtin(const struct builtin *table, size_t n, val name);
const struct builtin *find_filter(val name);
const struct builtin *find_test(val name);
extern const struct builtin tmpl_sequence_filters[];
extern const size_t tmpl_n_sequence_filters;
builtin_fn tmpl_pprint, tmpl_wordwrap; /* tmpl_wrap.c */
const struct builtin *find_global(val name);

bool capture(struct ev *ev, const struct node *body, val *text); /* the text that a body writes */

struct cycler {
    struct list items;
    size_t at;
};
struct joiner {
    val separator;
    bool used;
};

/* tmpl_loop.c: what `loop` is */
struct loop {
    const struct node *node;
    struct scope *scope; /* around the loop, then of its body and of its test */
    struct scope *body, *test;
    struct iter *from;
    val source, current, before, after; /* after: fetched ahead, or NULL */
    bool ended, tested; /* tested: `from` holds only what passed the test */
    int64_t index0, length, depth0; /* length -1: not known yet */
    val changed; /* the tuple of the last loop.changed(), or NULL */
};
bool exec_for(struct ev *ev, const struct node *n);
val loop_attr(struct ev *ev, struct loop *loop, val name);
val loop_call(struct ev *ev, struct loop *loop, const struct args *args);

/* tmpl_iter.c */
struct iter {
    int (*next)(struct ev *ev, struct iter *it, val *item); /* 1: an item, 0: the end, -1: failed */
    val source;
    size_t at; /* position in source */
    struct iter *from;
    val name, attribute, fallback;
    const struct args *args;
    bool negate, by_attribute;
    builtin_fn *compute; /* makes the list to iterate over when the first item is asked for */
    val argv[3];
};
struct iter *iter_new(struct ev *ev, val v);            /* over a value, or fails: not iterable */
int iter_next(struct ev *ev, struct iter *it, val *item);
val iter_value(struct ev *ev, struct iter *it);
bool is_iterable(val v);
bool to_list(struct ev *ev, val v, struct list *out);   /* all items; borrowed from v where it is a list */
int contains(struct ev *ev, val container, val item);   /* 1, 0, -1 failed */

/* tmpl_ops.c */
bool truth(val v);
int values_equal(struct ev *ev, val a, val b);                          /* 1, 0, -1 failed */
bool values_order(struct ev *ev, val a, val b, const char *op, int *order); /* -1, 0, 1; 2: unordered (NaN) */
val unary_op(struct ev *ev, enum token_type op, val a);
val binary_op(struct ev *ev, enum token_type op, val a, val b);
const char *type_name(val v);
bool sort_values(struct ev *ev, const val *keys, size_t n, bool reverse, size_t *order); /* stable */

/* new values; NULL when memory is out */
val new_undefined(struct ev *ev, val object, val name, const char *hint);
val new_none(struct ev *ev);
val new_bool(struct ev *ev, bool b);
val new_int(struct ev *ev, int64_t i);
val new_float(struct ev *ev, double f);
struct value *new_list(struct ev *ev, enum list_flavor flavor, size_t n); /* n slots to be filled */
struct value *new_dict(struct ev *ev);
bool push(struct ev *ev, struct value *list, val item);
bool put(struct ev *ev, struct value *dict, val key, val item); /* fails when key is not hashable */

/* ---- text (tmpl_text.c) ---- */

/* A string being made. Take {0}; add; sink_done. */
struct sink {
    struct text_block *block;
};
bool sink_room(struct ev *ev, struct sink *s, size_t n);
bool sink_put(struct ev *ev, struct sink *s, const char *p, size_t n, uint8_t mark);
bool sink_cstr(struct ev *ev, struct sink *s, const char *p, uint8_t mark);
bool sink_fill(struct ev *ev, struct sink *s, val pattern, size_t times);
bool sink_part(struct ev *ev, struct sink *s, val string, size_t from, size_t n); /* with its marks */
bool sink_str(struct ev *ev, struct sink *s, val v);                              /* str(v) */
bool sink_repr(struct ev *ev, struct sink *s, val v);                             /* repr(v), marked as data */
bool sink_codepoint(struct ev *ev, struct sink *s, uint32_t cp, uint8_t mark);
size_t sink_length(const struct sink *s);
val sink_done(struct ev *ev, struct sink *s, uint8_t flavor);

val new_string(struct ev *ev, const char *p, size_t n, uint8_t mark);
val new_cstring(struct ev *ev, const char *p, uint8_t mark);
val substring(struct ev *ev, val string, size_t from, size_t n); /* shares the bytes; keeps the flavor */
val concat(struct ev *ev, val a, val b);                         /* plain */
val to_str(struct ev *ev, val v);                                /* str(v): a plain string */
val soft_str(struct ev *ev, val v);                              /* a string as it is, others str(v) */
val to_repr(struct ev *ev, val v);
val with_flavor(struct ev *ev, val string, uint8_t flavor);
val html_escape(struct ev *ev, val v); /* Markup */
bool text_eq(struct text a, struct text b);
size_t text_find(struct text s, size_t from, struct text needle); /* byte offset or SIZE_MAX */
/* The last that ends at or before `end`; SIZE_MAX also when it failed (ev->code). */
size_t text_rfind(struct ev *ev, struct text s, size_t end, struct text needle);
uint8_t common_mark(val string); /* MARK_TEMPLATE if every byte is the template's, else MARK_DATA */
size_t float_repr(char out[32], double f);
double round_digits(double f, int digits); /* half to even on the exact decimal value */

/* ---- Unicode (tmpl_unicode.c) ---- */

/* Byte offsets and code points. An invalid byte counts as one code point, 0xdc00 + byte, and is copied as it is. */
size_t u8_step(const char *p, size_t n, uint32_t *cp);
size_t u8_step_back(const char *p, size_t n, uint32_t *cp); /* the last code point of p[0..n) */
size_t u8_count(const char *p, size_t n);
size_t u8_offset(const char *p, size_t n, size_t index); /* of the index-th code point, n when there are fewer */
size_t u8_put(char out[4], uint32_t cp);
bool u8_valid(const char *p, size_t n);

enum char_class { CHAR_SPACE, CHAR_ALPHA, CHAR_DECIMAL, CHAR_DIGIT, CHAR_NUMERIC, CHAR_ALNUM, CHAR_LOWER, CHAR_UPPER, CHAR_TITLE,
                  CHAR_CASED, CHAR_PRINTABLE, CHAR_WORD, CHAR_CASE_IGNORABLE };
bool char_is(uint32_t cp, enum char_class c);
enum case_map { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_FOLD };
int char_map(uint32_t cp, enum case_map map, uint32_t out[4]); /* how many code points */
val map_case(struct ev *ev, val string, enum case_map map);
val capitalize(struct ev *ev, val string);
val title_case(struct ev *ev, val string);
val swap_case(struct ev *ev, val string);

/* ---- str's methods that filters need too (tmpl_strings.c) ---- */

enum side { SIDE_LEFT = 1, SIDE_RIGHT = 2, SIDE_BOTH = 3 };
val strip_text(struct ev *ev, val string, val chars, enum side sides); /* chars NULL or none: whitespace */
val replace_text(struct ev *ev, val string, val old, val with, int64_t count); /* count < 0: all */
val split_text(struct ev *ev, val string, val separator, int64_t most); /* separator NULL: by whitespace; most < 0: all */
val split_lines(struct ev *ev, val string, bool keep_ends);
val join_text(struct ev *ev, val separator, val items, bool any_type);
val pad_text(struct ev *ev, val string, int64_t width, val fill, enum side sides); /* SIDE_BOTH centers */
bool parse_int_text(struct text s, int base, int64_t *out, bool *overflow); /* int(s, base) */
bool parse_float_text(struct text s, double *out);                          /* float(s) */

/* ---- formats and JSON ---- */

val format_percent(struct ev *ev, val format, val values);                 /* "..." % values */
val format_braces(struct ev *ev, val format, const struct args *args);     /* "...".format(...) */
val format_value(struct ev *ev, val v, val spec);                          /* format(v, spec) */
val to_json(struct ev *ev, val v, val indent, val separators, bool ascii, bool sort_keys);

/* the argument, or a default */
bool arg_int(struct ev *ev, val v, int64_t otherwise, int64_t *i); /* v NULL: otherwise; fails when v is no integer */
bool arg_text(struct ev *ev, val v, const char *what);             /* fails when v is no string */

/* attribute getters of filters: "a.b.0" */
val get_path(struct ev *ev, val item, val attribute, val fallback);

#define TABLE_SIZE(t) (sizeof(t) / sizeof((t)[0]))

#endif
