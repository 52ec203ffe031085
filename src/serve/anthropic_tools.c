/* anthropic_tools.c: the tools of POST /v1/messages: those that a client describes, and those that the API knows by their type. Of the latter, some are run by the
 * client all the same, and only their description is the API's: they are described here, in our own words, by the members that their clients read. Those that
 * the API's own machines run, and those that show pictures to the model, are refused by name. */
#include <string.h>

#include "serve/anthropic_internal.h"

#define STRING(name, what) "\"" name "\":{\"type\":\"string\",\"description\":\"" what "\"}"
#define LINE(name, what) "\"" name "\":{\"type\":\"integer\",\"description\":\"" what "\"}"
#define OBJECT(members, needed) "{\"type\":\"object\",\"properties\":{" members "},\"required\":[" needed "]}"
#define COMMAND(all) "\"command\":{\"type\":\"string\",\"enum\":[" all "],\"description\":\"What to do\"}"
#define RANGE(what) "\"view_range\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"description\":\"" what "\"}"

#define EDITOR(commands, new_str, ...) \
    OBJECT(COMMAND(commands) "," STRING("path", "Absolute path of a file or folder") "," RANGE("view: first and last line, from 1; -1: to the end") "," \
           STRING("file_text", "create: what is to stand in the file") "," STRING("old_str", "str_replace: the text to replace, which must stand in the file exactly once") "," \
           STRING("new_str", new_str) "," LINE("insert_line", "insert: the line behind which the text goes; 0: at the beginning") __VA_ARGS__, "\"command\",\"path\"")
#define OLD_EDITOR \
    EDITOR_WORDS " undo_edit takes the last edit of a file back.", \
        EDITOR("\"view\",\"create\",\"str_replace\",\"insert\",\"undo_edit\"", "str_replace: what takes its place; insert: what is inserted", )
#define NEW_EDITOR EDITOR_WORDS, EDITOR("\"view\",\"create\",\"str_replace\",\"insert\"", "str_replace: what takes its place", "," STRING("insert_text", "insert: what is inserted"))

#define EDITOR_WORDS "Views, creates and edits text files. The state of files stays between calls."

static const struct known {
    const char *type; /* of a row that ends with '_': the beginning of its types, which have a date behind it */
    const char *name, *description, *schema; /* schema NULL: refused */
} known[] = {
    {"bash_", "bash", "Runs a command in a bash shell that stays open between calls, and returns what it writes.", OBJECT(STRING("command", "The command to run; needed unless restart is true") ",\"restart\":{\"type\":\"boolean\",\"description\":\"true: start the shell anew\"}", "")},
    {"text_editor_20241022", "str_replace_editor", OLD_EDITOR},
    {"text_editor_20250124", "str_replace_editor", OLD_EDITOR},
    {"text_editor_", "str_replace_based_edit_tool", NEW_EDITOR},
    {"memory_", "memory", "Keeps notes in files under /memories that outlive the conversation. Look there first; write down progress as you go.",
     OBJECT(COMMAND("\"view\",\"create\",\"str_replace\",\"insert\",\"delete\",\"rename\"") "," STRING("path", "Path under /memories") "," RANGE("view: first and last line, from 1") "," STRING("file_text", "create: what is to stand in the file") "," STRING("old_str", "str_replace: the text to replace, which must stand in the file exactly once") "," STRING("new_str", "str_replace: what takes its place") "," LINE("insert_line", "insert: the line behind which insert_text goes; 0: at the beginning") "," STRING("insert_text", "insert: what is inserted") "," STRING("old_path", "rename: the path as it is") "," STRING("new_path", "rename: the path as it is to be"), "\"command\"")},
    {"computer_", NULL, "it shows pictures of a screen, and the model reads text only", NULL},
    {"browser_", NULL, "it shows pictures of a page, and the model reads text only", NULL},
    {"web_search_", NULL, "the API's own servers run it; nothing is searched from here. Give a tool of your own", NULL},
    {"web_fetch_", NULL, "the API's own servers run it; nothing is fetched from here. Give a tool of your own", NULL},
    {"code_execution_", NULL, "the API's own servers run it; give bash, or a tool of your own", NULL},
    {"tool_search_tool_", NULL, "the API's own servers run it; here the model sees all tools from the beginning", NULL},
    {"mcp_toolset", NULL, "the API's own servers run it; connect the server from the client", NULL},
};

static const struct known *find(struct slice type) {
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t n = strlen(known[i].type);
        if (slice_is(type, known[i].type) || (known[i].type[n - 1] == '_' && type.n > n && memcmp(type.p, known[i].type, n) == 0)) return &known[i];
    }
    return NULL;
}

static bool good_name(struct slice name) {
    for (size_t i = 0; i < name.n; i++) {
        const char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) return false;
    }
    return name.n >= 1 && name.n <= 128;
}

static int check_name(const struct ask *ask, const struct body_at *tool, struct slice name, struct err *e) {
    char shown[80];
    if (!name.p) return body_error(tool, "name", e, "missing");
    if (!good_name(name)) return body_error(tool, "name", e, "\"%s\" is not 1 to 128 letters, digits, _ and -", err_quote(shown, sizeof shown, name.p, name.n));
    return ask_has_tool(ask, name) ? body_error(tool, "name", e, "another tool is named \"%s\" already", err_quote(shown, sizeof shown, name.p, name.n)) : 0;
}

/* The description with what the client gave as examples behind it. */
static int describe(struct answer *a, const struct body_at *tool, struct slice *description, struct err *e) {
    const json_t *examples = NULL;
    struct buf text = {.limit = 16 << 20};
    int code = body_text(tool, "description", description, e);
    if (code == 0) code = body_array(tool, "input_examples", &examples, e);
    if (code || !json_array_size(examples)) return code;
    if (!buf_add(&text, description->p ? description->p : "", description->n) || !buf_str(&text, "\nExamples of its input:")) code = err_nomem(e, "a tool", text.len);
    for (size_t i = 0; code == 0 && i < json_array_size(examples); i++) {
        if (!json_is_object(json_array_get(examples, i))) code = body_error(tool, "input_examples", e, "example %zu is not an object", i);
        else code = buf_char(&text, '\n') ? body_dump(json_array_get(examples, i), &text, e) : err_nomem(e, "a tool", text.len);
    }
    const char *kept = code ? NULL : arena_strndup(&a->arena, text.data, text.len);
    if (code == 0 && !kept) code = err_nomem(e, "a tool", text.len);
    *description = (struct slice){kept, kept ? text.len : 0};
    buf_free(&text);
    return code;
}

static int own_tool(struct answer *a, const struct body_at *tool, size_t most, struct err *e) {
    struct slice name = {0}, description = {0}, kind = {0};
    const json_t *schema = NULL;
    struct body_at inside;
    int code = body_text(tool, "name", &name, e);
    if (code == 0) code = check_name(&a->ask, tool, name, e);
    if (code == 0) code = describe(a, tool, &description, e);
    if (code == 0) code = body_object(tool, "input_schema", &schema, e);
    if (code == 0 && !schema) code = body_error(tool, "input_schema", e, "missing");
    if (code == 0) code = body_into(&inside, tool, "input_schema", -1, schema, e);
    if (code == 0) code = body_text(&inside, "type", &kind, e);
    if (code == 0 && kind.p && !slice_is(kind, "object")) code = body_error(&inside, "type", e, "the input of a tool is an \"object\"");
    return code ? code : ask_add_tool(&a->ask, &a->arena, tool, most, name, description, schema, e);
}

static int known_tool(struct answer *a, const struct body_at *tool, const struct known *k, size_t most, struct err *e) {
    struct slice name = slice_of(k->name);
    json_error_t why;
    int code = body_text(tool, "name", &name, e);
    if (code == 0) code = check_name(&a->ask, tool, name, e);
    json_t *schema = code ? NULL : json_loads(k->schema, 0, &why);
    if (code == 0 && !schema) code = err_nomem(e, "a tool", strlen(k->schema));
    if (code == 0) code = ask_add_tool(&a->ask, &a->arena, tool, most, name, slice_of(k->description), schema, e);
    json_decref(schema);
    return code;
}

int anthropic_tool(struct answer *a, const struct body_at *tool, size_t most, struct err *e) {
    struct slice type = {0};
    char shown[80];
    int code = body_text(tool, "type", &type, e);
    if (code == 0) code = anthropic_cache_control(a, tool, e);
    if (code || !type.p || slice_is(type, "custom")) return code ? code : own_tool(a, tool, most, e);
    const struct known *k = find(type);
    err_quote(shown, sizeof shown, type.p, type.n);
    if (!k) return body_error(tool, "type", e, "there is no tool of the type \"%s\"", shown);
    return k->schema ? known_tool(a, tool, k, most, e) : body_error(tool, "type", e, "\"%s\" cannot be had: %s", shown, k->description);
}
