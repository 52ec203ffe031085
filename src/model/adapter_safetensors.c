/* adapter_safetensors.c: adapters as PEFT and MLX store them: tensors in safetensors, and beside them adapter_config.json, which says how strongly they act. See
 * adapter_file.h.
 *
 * What a configuration asks for beyond two matrices beside each of some others is refused by the name of the setting, since leaving it out would give another
 * model than the one that was trained. jansson reads the JSON, with the C library's allocator; the tree is gone when reading returns. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/os.h"
#include "model/adapter_file.h"

#define CONFIG_NAME "adapter_config.json"
#define MAX_CONFIG ((size_t)4 << 20) /* bytes */

struct config {
    json_t *root;
    const char *path;
    bool mlx;
    int rank;             /* of all pairs; 0: each has its own */
    double alpha, factor; /* a pair of rank r acts factor * alpha / r, or by the square root of r */
    bool by_root;
    const json_t *alphas; /* alpha by module; NULL: one for all */
};

/* ---- the configuration ---- */

static int unsupported(const struct config *c, const char *setting, const char *what, struct err *e) {
    char shown[60];
    return err_set(e, ERR_UNSUPPORTED, "%s: \"%s\" is %s, which cannot be used here; train with LoRA alone", c->path, setting, err_quote(shown, sizeof shown, what, strlen(what)));
}

static bool is_empty(const json_t *v) {
    return !v || json_is_null(v) || json_is_false(v) || (json_is_array(v) && json_array_size(v) == 0) || (json_is_object(v) && json_object_size(v) == 0);
}

static int number(const struct config *c, const json_t *in, const char *key, bool needed, double *out, struct err *e) {
    const json_t *v = json_object_get(in, key);
    if (!needed && (!v || json_is_null(v))) return 0;
    if (!json_is_number(v)) return err_set(e, ERR_FORMAT, "%s: \"%s\" is missing or no number", c->path, key);
    *out = json_number_value(v);
    return isfinite(*out) && fabs(*out) <= 1e9 ? 0 : err_set(e, ERR_FORMAT, "%s: \"%s\" is %g, which makes no sense", c->path, key, *out);
}

static int read_rank(struct config *c, const json_t *in, const char *key, struct err *e) {
    const json_t *v = json_object_get(in, key);
    if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > INT32_MAX) return err_set(e, ERR_FORMAT, "%s: \"%s\" is missing or no whole number above 0", c->path, key);
    c->rank = (int)json_integer_value(v);
    return 0;
}

/* What PEFT trains besides two matrices, or does to the model itself before training begins. */
static int refuse_more(const struct config *c, struct err *e) {
    static const char *const settings[] = {"modules_to_save", "use_dora",  "use_qalora",   "use_bdlora",   "layer_replication", "trainable_token_indices", "target_parameters",
                                           "arrow_config",    "lora_bias", "corda_config", "loftq_config", "megatron_config",   "lora_ga_config"};
    static const char *const changed[] = {"pissa", "olora", "corda", "loftq", "lora_ga", "milora"}; /* beginnings of names */
    const char *bias = json_string_value(json_object_get(c->root, "bias")), *init = json_string_value(json_object_get(c->root, "init_lora_weights"));
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const json_t *v = json_object_get(c->root, settings[i]);
        if (is_empty(v)) continue;
        const char *first = json_string_value(json_is_array(v) ? json_array_get(v, 0) : v);
        return unsupported(c, settings[i], first ? first : "set", e);
    }
    if (bias && strcmp(bias, "none") != 0) return unsupported(c, "bias", bias, e);
    for (size_t i = 0; init && i < sizeof changed / sizeof *changed; i++)
        if (strncmp(init, changed[i], strlen(changed[i])) == 0) return unsupported(c, "init_lora_weights", init, e);
    return 0;
}

/* Keys are regular expressions for PEFT; here they are the last parts of a module's name, as which nearly all are written. */
static int check_alphas(const struct config *c, struct err *e) {
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)c->alphas, key, v) {
        double alpha;
        char shown[60];
        if (key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")]) return unsupported(c, "alpha_pattern", key, e);
        if (!json_is_number(v) || !isfinite(alpha = json_number_value(v)) || fabs(alpha) > 1e9)
            return err_set(e, ERR_FORMAT, "%s: \"alpha_pattern\": \"%s\" is no number", c->path, err_quote(shown, sizeof shown, key, strlen(key)));
    }
    return 0;
}

static int read_invocation(struct adapter_file *f, const struct config *c, struct err *e) {
    static const char key[] = "alora_invocation_tokens";
    const json_t *list = json_object_get(c->root, key);
    if (!list || json_is_null(list)) return 0;
    size_t n = json_array_size(list);
    if (n < 1 || n > INVOCATION_MAX) return err_set(e, ERR_FORMAT, "%s: \"%s\" is no list of 1 to %d token ids", c->path, key, INVOCATION_MAX);
    f->invocation = arena_array(&f->arena, n, sizeof *f->invocation);
    if (!f->invocation) return adapter_nomem(f, e);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX)
            return err_set(e, ERR_FORMAT, "%s: \"%s\": number %zu is no token id", c->path, key, i);
        f->invocation[f->n_invocation++] = (int32_t)json_integer_value(v);
    }
    return 0;
}

static int read_peft(struct adapter_file *f, struct config *c, struct err *e) {
    const char *type = json_string_value(json_object_get(c->root, "peft_type"));
    int code;
    if (!type || strcmp(type, "LORA") != 0) return unsupported(c, "peft_type", type ? type : "missing", e);
    if ((code = refuse_more(c, e)) || (code = read_rank(c, c->root, "r", e)) || (code = number(c, c->root, "lora_alpha", true, &c->alpha, e)) || (code = read_invocation(f, c, e))) return code;
    c->factor = 1;
    c->by_root = json_is_true(json_object_get(c->root, "use_rslora"));
    if (!is_empty(json_object_get(c->root, "rank_pattern"))) c->rank = 0;
    c->alphas = json_object_get(c->root, "alpha_pattern");
    if (is_empty(c->alphas)) c->alphas = NULL;
    else if (!json_is_object(c->alphas)) return err_set(e, ERR_FORMAT, "%s: \"alpha_pattern\" is no map", c->path);
    return c->alphas ? check_alphas(c, e) : 0;
}

/* MLX multiplies by scale alone; it once had alpha / rank besides. */
static int read_mlx(struct config *c, const json_t *parameters, struct err *e) {
    const char *tuned = json_string_value(json_object_get(c->root, "fine_tune_type"));
    int code;
    if (tuned && strcmp(tuned, "lora") != 0) return unsupported(c, "fine_tune_type", tuned, e);
    if (!is_empty(json_object_get(c->root, "use_dora"))) return unsupported(c, "use_dora", "set", e);
    if ((code = read_rank(c, parameters, "rank", e)) || (code = number(c, parameters, "scale", true, &c->factor, e))) return code;
    c->alpha = c->rank;
    return number(c, parameters, "alpha", false, &c->alpha, e);
}

static int read_config(struct adapter_file *f, struct config *c, struct err *e) {
    struct buf text = {0};
    json_error_t why;
    char shown[100];
    int code = os_read_file(c->path, MAX_CONFIG, &text, e);
    if (code == 0 && !(c->root = json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &why)))
        code = json_error_code(&why) == json_error_out_of_memory
                   ? err_set(e, ERR_MEMORY, "%s: out of memory", c->path)
                   : err_set(e, ERR_FORMAT, "%s: not valid JSON: %s, at its byte %d", c->path, err_quote(shown, sizeof shown, why.text, strlen(why.text)), why.position);
    buf_free(&text);
    if (code) return code;
    const json_t *parameters = json_object_get(c->root, "lora_parameters");
    c->mlx = json_is_object(parameters);
    if (!c->mlx && !json_object_get(c->root, "peft_type"))
        return err_set(e, ERR_FORMAT, "%s: neither \"peft_type\" nor \"lora_parameters\" is in it: not the configuration of an adapter", c->path);
    const char *base = json_string_value(json_object_get(c->root, c->mlx ? "model" : "base_model_name_or_path"));
    if (base && !(f->base.p = arena_strndup(&f->arena, base, strlen(base)))) return adapter_nomem(f, e);
    f->base.n = base ? strlen(base) : 0;
    return c->mlx ? read_mlx(c, parameters, e) : read_peft(f, c, e);
}

/* How strongly a pair of this rank acts at a module. */
static float scale_of(const struct config *c, struct slice module, int64_t rank) {
    double alpha = c->alpha;
    const char *key;
    json_t *v;
    if (c->alphas)
        json_object_foreach((json_t *)(uintptr_t)c->alphas, key, v) {
            size_t n = strlen(key);
            if (n > module.n || memcmp(module.p + module.n - n, key, n) != 0 || (n < module.n && module.p[module.n - n - 1] != '.')) continue;
            alpha = json_number_value(v);
            break; /* the first that fits */
        }
    return (float)(c->factor * alpha / (c->by_root ? sqrt((double)rank) : (double)rank));
}

/* ---- tensors ---- */

static const struct {
    const char *ending;
    enum adapter_half half;
    bool mlx;
} endings[] = {{".lora_A.weight", HALF_A, false}, {".lora_B.weight", HALF_B, false}, {".lora_a", HALF_A, true}, {".lora_b", HALF_B, true}};
enum { ENDINGS = sizeof endings / sizeof *endings };

/* What else is found in such files; the first that occurs in a name says what the tensor is. */
static const struct {
    const char *in, *what;
} others[] = {
    {".lora_embedding_", "is of an adapter of embeddings"}, {".lora_magnitude_vector", "is of DoRA"}, {".lora_diag", "is of KaSA"}, {".experts.", "is of experts, which GGUF files join"},
    {"embed_tokens", "is of embeddings"}, {"", "is neither half of a pair of matrices"},
};

static int refuse_tensor(const struct adapter_file *f, const struct tensor *t, struct err *e) {
    size_t i = 0;
    while (!strstr(t->name, others[i].in)) i++;
    return err_set(e, ERR_UNSUPPORTED, "%s: the tensor %s %s; such adapters cannot be used here", f->path, t->name, others[i].what);
}

static int read_tensor(struct adapter_file *f, const struct config *c, const struct tensor *t, struct err *e) {
    size_t n = strlen(t->name), i = 0, end = 0;
    for (; i < ENDINGS; i++) {
        end = strlen(endings[i].ending);
        if (endings[i].mlx == c->mlx && n > end && strcmp(t->name + n - end, endings[i].ending) == 0) break;
    }
    if (i == ENDINGS) return refuse_tensor(f, t, e);
    struct slice module = {t->name, n - end};
    char name[128];
    if (!adapter_tensor_name(module, name)) {
        if (strstr(t->name, ".experts.") || strstr(t->name, "embed_tokens")) return refuse_tensor(f, t, e);
        return err_set(e, ERR_UNSUPPORTED, "%s: the tensor %s is of a module that has no matrix of its own in GGUF files, or is not known here", f->path, t->name);
    }
    int64_t rank = t->ne[(endings[i].half == HALF_A) != c->mlx]; /* A {n_in, rank}, B {rank, n_out}; MLX the other way round */
    if (rank < 1) return err_set(e, ERR_FORMAT, "%s: the tensor %s is empty", f->path, t->name);
    if (c->rank && rank != c->rank) return err_set(e, ERR_FORMAT, "%s: the tensor %s is of rank %lld, but %s says %d", f->path, t->name, (long long)rank, CONFIG_NAME, c->rank);
    return adapter_add_half(f, slice_of(name), endings[i].half, t, scale_of(c, module, rank), e);
}

/* ---- both ---- */

static int read_both(struct adapter_file *f, struct config *c, struct slice folder, const char *tensors, struct err *e) {
    c->path = arena_printf(&f->arena, "%.*s" CONFIG_NAME, (int)folder.n, folder.p);
    if (!c->path) return adapter_nomem(f, e);
    int code = read_config(f, c, e);
    if (code == ERR_IO) return err_set(e, ERR_IO, "%s: cannot be read, but without it nobody knows how strongly the adapter acts; it belongs beside the tensors", c->path);
    if (code) return code;
    f->transposed = c->mlx;
    f->turned = true;
    f->path = tensors ? tensors : arena_printf(&f->arena, "%.*s%s", (int)folder.n, folder.p, c->mlx ? "adapters.safetensors" : "adapter_model.safetensors");
    if (!f->path) {
        f->path = c->path;
        return adapter_nomem(f, e);
    }
    code = safetensors_open(&f->safetensors, f->path, e);
    for (size_t i = 0; code == 0 && i < safetensors_count(f->safetensors); i++) code = read_tensor(f, c, &safetensors_at(f->safetensors, i)->t, e);
    return code;
}

int adapter_read_safetensors(struct adapter_file *f, const char *path, struct err *e) {
    struct config c = {0};
    const char *slash = strrchr(path, '/'), *tensors = os_is_folder(path) ? NULL : path;
    size_t n = tensors ? (slash ? (size_t)(slash + 1 - path) : 0) : strlen(path);
    const char *folder = !tensors && n && path[n - 1] != '/' ? arena_printf(&f->arena, "%s/", path) : path;
    f->path = path;
    if (!folder) return adapter_nomem(f, e);
    int code = read_both(f, &c, (struct slice){folder, tensors ? n : strlen(folder)}, tensors, e);
    json_decref(c.root);
    return code;
}
