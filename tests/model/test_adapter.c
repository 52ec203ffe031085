/* test_adapter.c: adapters from files: the same one as GGUF, PEFT and MLX store it, number by number, with its strength; types that are kept and decoded; files and
 * configurations that are refused, each by a line that names what is wrong; and the real adapters of the shared data, as far as they can be read without their models. */
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "model/adapter.h"
#include "model/adapter_file.h"
#include "shared_data.h"
#include "support/lora.h"
#include "support/tiny.h"

static char folder[] = "/tmp/hearth-test-adapter-XXXXXX";

static const char *in_folder(const char *name) {
    static char path[4][200];
    static int turn;
    turn = (turn + 1) % 4;
    (void)snprintf(path[turn], sizeof path[0], "%s/%s", folder, name);
    return path[turn];
}

#define OK(call)                                            \
    do {                                                    \
        if ((call) != 0) fail_msg("%s: %s", #call, e.msg);  \
    } while (0)

/* ---- the model, and an adapter for it ---- */

static struct tiny tiny;
static struct model *model;

static void open_model(enum tiny_kind kind) {
    struct gguf *file;
    struct err e = {0};
    tiny_make(&tiny, kind, NULL);
    OK(gguf_open_memory(&file, tiny.file.data, tiny.file.len, "tiny.gguf", &e));
    OK(model_open_file(&model, file, &e));
}

static void close_model(void) {
    model_close(model);
    tiny_free(&tiny);
}

/* The matrices of a tiny llama's layer by their names in GGUF and elsewhere. */
static const struct {
    const char *tensor, *module;
} parts[] = {{"attn_q", "self_attn.q_proj"}, {"attn_k", "self_attn.k_proj"}, {"attn_v", "self_attn.v_proj"}, {"attn_output", "self_attn.o_proj"},
             {"ffn_gate", "mlp.gate_proj"},  {"ffn_up", "mlp.up_proj"},      {"ffn_down", "mlp.down_proj"}};
enum { PARTS = sizeof parts / sizeof *parts, RANK = 3 };

/* A's and B's numbers, by what they are for: a number for each place, none twice. */
static float number_a(int part, int64_t k, int64_t i) { return (float)(part + 1) + (float)k / 4 + (float)i / 512; }
static float number_b(int part, int64_t c, int64_t k) { return -(float)(part + 1) - (float)k / 4 - (float)c / 1024; }

enum kind { GGUF, PEFT, MLX };

struct writing {
    struct tensor t[2 * PARTS + 2];
    char name[2 * PARTS + 2][120];
    int n;
};

static struct tensor *add(struct writing *w, const char *name, enum dtype type, int64_t n0, int64_t n1) {
    const size_t size = dtype_size(type, (uint64_t)(n0 * n1));
    struct tensor *t = &w->t[w->n];
    (void)snprintf(w->name[w->n], sizeof w->name[0], "%s", name);
    *t = (struct tensor){w->name[w->n++], type, 2, {n0, n1, 1, 1}, calloc(1, size), size};
    assert_non_null(t->data);
    return t;
}

static void set(const struct tensor *t, int64_t i0, int64_t i1, float v) {
    dtype_info((uint32_t)t->type)->encode(&v, (char *)(uintptr_t)t->data + dtype_size(t->type, 1) * (size_t)(i1 * t->ne[0] + i0), 1, NULL);
}

/* Row d of a turned matrix is this one in Hugging Face's order. */
static int64_t row_there(int part, int64_t d) {
    if (part > 1) return d;
    int64_t size = model->hp.head_k, head = d / size, pair = d % size / 2, second = d % 2;
    return head * size + second * size / 2 + pair;
}

/* A pair for layer 1's matrix number `part`, as files of the kind have it. */
static void add_pair(struct writing *w, enum kind kind, int part, enum dtype type) {
    char name[100];
    (void)snprintf(name, sizeof name, "blk.1.%s.weight", parts[part].tensor);
    const struct tensor *m = gguf_tensor(model->file, name);
    assert_non_null(m);
    static const char *const forms[][2] = {{"blk.1.%s.weight.lora_a", "blk.1.%s.weight.lora_b"},
                                           {"base_model.model.model.layers.1.%s.lora_A.weight", "base_model.model.model.layers.1.%s.lora_B.weight"},
                                           {"model.layers.1.%s.lora_a", "model.layers.1.%s.lora_b"}};
    const char *in = kind == GGUF ? parts[part].tensor : parts[part].module;
    char a_name[120], b_name[120];
    (void)snprintf(a_name, sizeof a_name, forms[kind][0], in);
    (void)snprintf(b_name, sizeof b_name, forms[kind][1], in);
    const struct tensor *a = kind == MLX ? add(w, a_name, type, RANK, m->ne[0]) : add(w, a_name, type, m->ne[0], RANK);
    const struct tensor *b = kind == MLX ? add(w, b_name, type, m->ne[1], RANK) : add(w, b_name, type, RANK, m->ne[1]);
    for (int64_t k = 0; k < RANK; k++) {
        for (int64_t i = 0; i < m->ne[0]; i++) kind == MLX ? set(a, k, i, number_a(part, k, i)) : set(a, i, k, number_a(part, k, i));
        for (int64_t d = 0; d < m->ne[1]; d++) {
            int64_t there = kind == GGUF ? d : row_there(part, d);
            kind == MLX ? set(b, there, k, number_b(part, d, k)) : set(b, k, there, number_b(part, d, k));
        }
    }
}

static void forget(struct writing *w) {
    for (int i = 0; i < w->n; i++) free((void *)(uintptr_t)w->t[i].data);
    w->n = 0;
}

static void write_text(const char *path, const char *text) {
    struct err e = {0};
    OK(os_write_file(path, text, strlen(text), &e));
}

static void write_gguf(const char *path, const struct writing *w, const char *arch, float alpha) {
    struct err e = {0};
    struct gguf_writer *out;
    OK(gguf_writer_new(&out, &e));
    OK(gguf_put_str(out, "general.type", SLICE("adapter"), &e));
    OK(gguf_put_str(out, "general.architecture", slice_of(arch), &e));
    OK(gguf_put_str(out, "adapter.type", SLICE("lora"), &e));
    if (alpha > 0) OK(gguf_put_f32(out, "adapter.lora.alpha", alpha, &e));
    for (int i = 0; i < w->n; i++) OK(gguf_put_tensor(out, &w->t[i], NULL, NULL, &e));
    OK(gguf_write(out, path, &e));
    gguf_writer_free(out);
}

static const char *tensors_of(enum kind kind) { return kind == MLX ? "adapters.safetensors" : "adapter_model.safetensors"; }

static void write_safetensors(enum kind kind, const struct writing *w, const char *config) {
    struct err e = {0};
    OK(safetensors_write(in_folder(tensors_of(kind)), w->t, (size_t)w->n, NULL, 0, &e));
    if (config) write_text(in_folder("adapter_config.json"), config);
    else (void)unlink(in_folder("adapter_config.json"));
}

/* ---- what is read ---- */

/* An adapter's addition holds the numbers above, of the type, and acts so strongly. */
static void check_addition(const struct low_rank *l, int part, enum dtype type, float scale) {
    assert_int_equal(l->rank, RANK);
    assert_int_equal(l->a_type, type);
    assert_int_equal(l->b_type, type);
    if (!(fabsf(l->scale - scale) < 1e-6f * scale)) fail_msg("the strength is %g, not %g", (double)l->scale, (double)scale);
    const size_t each = dtype_size(type, 1);
    for (int64_t k = 0; k < RANK; k++) {
        for (int64_t i = 0; i < l->w->ne[0]; i++) {
            float got, want = number_a(part, k, i), stored;
            char bytes[4];
            dtype_info((uint32_t)type)->decode((const char *)l->a + each * (size_t)(k * l->w->ne[0] + i), &got, 1);
            dtype_info((uint32_t)type)->encode(&want, bytes, 1, NULL);
            dtype_info((uint32_t)type)->decode(bytes, &stored, 1);
            if (memcmp(&got, &stored, sizeof got) != 0) fail_msg("%s: A[%d][%d] is %g, not %g", l->w->name, (int)k, (int)i, (double)got, (double)stored);
        }
        for (int64_t c = 0; c < l->w->ne[1]; c++) {
            float got, want = number_b(part, c, k), stored;
            char bytes[4];
            const int64_t first = c / LOW_RANK_COLUMNS * LOW_RANK_COLUMNS, left = l->w->ne[1] - first, width = left < LOW_RANK_COLUMNS ? left : LOW_RANK_COLUMNS;
            dtype_info((uint32_t)type)->decode((const char *)l->b + each * (size_t)(RANK * first + k * width + c - first), &got, 1);
            dtype_info((uint32_t)type)->encode(&want, bytes, 1, NULL);
            dtype_info((uint32_t)type)->decode(bytes, &stored, 1);
            if (memcmp(&got, &stored, sizeof got) != 0) fail_msg("%s: B[%d][%d] is %g, not %g", l->w->name, (int)c, (int)k, (double)got, (double)stored);
        }
    }
}

/* The adapter at path is the one above, whole. */
static void check_adapter(const char *path, enum dtype type, float scale, float times) {
    struct err e = {0};
    struct adapter *a;
    int n;
    OK(adapter_open(&a, path, model, times, &e));
    const struct low_rank *list = adapter_list(a, &n);
    assert_int_equal(n, PARTS);
    assert_ptr_equal(adapter_model(a), model);
    for (int part = 0; part < PARTS; part++) {
        char name[100];
        int at = 0;
        (void)snprintf(name, sizeof name, "blk.1.%s.weight", parts[part].tensor);
        while (at < n && strcmp(list[at].w->name, name) != 0) at++;
        assert_true(at < n);
        check_addition(&list[at], part, type, scale * times);
    }
    assert_true(adapter_bytes(a) >= RANK * 32 * dtype_size(type, 1) * 2 * PARTS);
    assert_false(adapter_is_activated(a));
    adapter_close(a);
}

static void write_all(enum kind kind, enum dtype type, const char *config) {
    struct writing w = {.n = 0};
    for (int part = PARTS; part-- > 0;) add_pair(&w, kind, part, type);
    if (kind == GGUF) write_gguf(in_folder("adapter.gguf"), &w, "llama", 6);
    else write_safetensors(kind, &w, config);
    forget(&w);
}

static void all_kinds_of_files(void **state) {
    (void)state;
    static const enum dtype types[] = {DT_F32, DT_F16, DT_BF16};
    int64_t before = mem_live();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        write_all(GGUF, types[i], NULL);
        check_adapter(in_folder("adapter.gguf"), types[i], 2, 1);
        check_adapter(in_folder("adapter.gguf"), types[i], 2, 0.25f);
        write_all(PEFT, types[i], "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6, \"bias\": \"none\", \"modules_to_save\": null, \"target_modules\": [\"q_proj\"], \"use_dora\": false, \"loftq_config\": {}}");
        check_adapter(folder, types[i], 2, 1);
        check_adapter(in_folder(""), types[i], 2, 1); /* with a slash at its end */
        check_adapter(in_folder("adapter_model.safetensors"), types[i], 2, 1);
        write_all(MLX, types[i], "{\"fine_tune_type\": \"lora\", \"lora_parameters\": {\"rank\": 3, \"scale\": 20.0, \"dropout\": 0.0}, \"num_layers\": 2}");
        check_adapter(folder, types[i], 20, 1);
        check_adapter(in_folder("adapters.safetensors"), types[i], 20, 1);
    }
    assert_int_equal(mem_live(), before);
}

static void strengths(void **state) {
    (void)state;
    static const struct {
        enum kind kind;
        const char *config;
        float scale;
    } cases[] = {
        {PEFT, "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 16}", 16.0f / 3},
        {PEFT, "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 16.5, \"use_rslora\": true}", 16.5f / 1.7320508f},
        {PEFT, "{\"peft_type\": \"LORA\", \"r\": 8, \"lora_alpha\": 6, \"rank_pattern\": {\".*\": 3}}", 2},
        {PEFT, "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 16, \"alpha_pattern\": {\"proj\": 99, \"q_proj\": 12, \"k_proj\": 12, \"v_proj\": 12, \"self_attn.o_proj\": 12, "
               "\"model.layers.1.mlp.gate_proj\": 12, \"up_proj\": 12, \"mlp.down_proj\": 12, \"down_proj\": 1}}", 4},
        {MLX, "{\"lora_parameters\": {\"rank\": 3, \"scale\": 10, \"alpha\": 6}}", 20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_all(cases[i].kind, DT_F32, cases[i].config);
        check_adapter(folder, DT_F32, cases[i].scale, 1);
    }
    struct writing w = {.n = 0};
    for (int part = 0; part < PARTS; part++) add_pair(&w, GGUF, part, DT_F32);
    write_gguf(in_folder("adapter.gguf"), &w, "llama", 0); /* no alpha: as the numbers say */
    check_adapter(in_folder("adapter.gguf"), DT_F32, 1, 1);
    forget(&w);
}

/* A quantised adapter is decoded, and gives what its numbers say. */
static void quantised(void **state) {
    (void)state;
    struct err e = {0};
    struct writing w = {.n = 0};
    struct adapter *a;
    int n;
    const struct tensor *m = gguf_tensor(model->file, "blk.0.attn_output.weight");
    const int64_t n_in = m->ne[0], n_out = m->ne[1];
    const struct tensor *ta = add(&w, "blk.0.attn_output.weight.lora_a", DT_Q8_0, n_in, 32), *tb = add(&w, "blk.0.attn_output.weight.lora_b", DT_Q4_0, 32, n_out);
    float *x = calloc((size_t)(n_in * 32), sizeof *x), *want_b = calloc((size_t)(32 * n_out), sizeof *want_b);
    assert_true(x && want_b);
    for (int64_t i = 0; i < n_in * 32; i++) x[i] = sinf((float)i);
    dtype_info(DT_Q8_0)->encode(x, (void *)(uintptr_t)ta->data, (size_t)(n_in * 32), NULL);
    dtype_info(DT_Q4_0)->encode(x, (void *)(uintptr_t)tb->data, (size_t)(32 * n_out), NULL);
    dtype_info(DT_Q8_0)->decode(ta->data, x, (size_t)(n_in * 32));
    dtype_info(DT_Q4_0)->decode(tb->data, want_b, (size_t)(32 * n_out));
    write_gguf(in_folder("adapter.gguf"), &w, "llama", 32);
    OK(adapter_open(&a, in_folder("adapter.gguf"), model, 1, &e));
    const struct low_rank *l = adapter_list(a, &n);
    assert_int_equal(n, 1);
    assert_true(l->a_type == DT_F32 && l->b_type == DT_F32 && l->rank == 32);
    assert_memory_equal(l->a, x, sizeof *x * (size_t)(n_in * 32));
    assert_int_equal(n_out, 32); /* one block of columns, not a whole one */
    for (int64_t c = 0; c < n_out; c++)
        for (int64_t k = 0; k < 32; k++) assert_memory_equal((const float *)l->b + k * n_out + c, &want_b[c * 32 + k], sizeof(float));
    adapter_close(a);
    forget(&w);
    free(x);
    free(want_b);
}

/* What is known without a model. */
static void descriptions(void **state) {
    (void)state;
    static const struct {
        enum kind kind;
        const char *config, *base;
        bool activated;
    } cases[] = {
        {PEFT, "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6, \"base_model_name_or_path\": \"some/Base-1B\", \"alora_invocation_tokens\": [1]}", "some/Base-1B", true},
        {PEFT, "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6, \"base_model_name_or_path\": null}", "", false},
        {MLX, "{\"lora_parameters\": {\"rank\": 3, \"scale\": 20}, \"model\": \"other/base\"}", "other/base", false},
        {GGUF, "", "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        struct adapter_about about;
        write_all(cases[i].kind, DT_F16, cases[i].config);
        const char *path = cases[i].kind == GGUF ? in_folder("adapter.gguf") : folder;
        OK(adapter_describe(&about, path, &e));
        assert_string_equal(about.base, cases[i].base);
        assert_string_equal(about.arch, cases[i].kind == GGUF ? "llama" : "");
        assert_int_equal(about.activated, cases[i].activated);
        uint64_t numbers = 0;
        for (int part = 0; part < PARTS; part++) {
            char name[100];
            (void)snprintf(name, sizeof name, "blk.1.%s.weight", parts[part].tensor);
            const struct tensor *m = gguf_tensor(model->file, name);
            numbers += RANK * (uint64_t)(m->ne[0] + m->ne[1]);
        }
        assert_int_equal(about.bytes, 2 * numbers);
        for (int64_t n = 1;; n++) {
            mem_fail_after(n);
            const int code = adapter_describe(&about, path, &e);
            const bool failed = mem_has_failed();
            mem_fail_after(0);
            assert_int_equal(code, failed ? ERR_MEMORY : 0);
            if (!failed) break;
        }
    }
    struct err e = {0};
    struct adapter_about about;
    write_text(in_folder("adapter_config.json"), "{}");
    assert_int_equal(adapter_describe(&about, folder, &e), ERR_FORMAT);
    assert_true(!*about.base && !about.bytes);
}

static void names(void **state) {
    (void)state;
    static const struct {
        const char *module, *tensor;
    } cases[] = {
        {"base_model.model.model.layers.12.self_attn.q_proj", "blk.12.attn_q.weight"}, {"model.layers.0.mlp.down_proj", "blk.0.ffn_down.weight"},
        {"base_model.model.model.language_model.layers.3.mlp.gate_up_proj", "blk.3.ffn_up.weight"}, {"base_model.model.lm_head", "output.weight"},
        {"base_model.model.transformer.h.7.attn.c_attn", "blk.7.attn_qkv.weight"}, {"base_model.model.gpt_neox.layers.1.mlp.dense_h_to_4h", "blk.1.ffn_up.weight"},
        {"base_model.model.transformer.blocks.2.attn.Wqkv", "blk.2.attn_qkv.weight"}, {"base_model.model.backbone.layers.4.mixer.in_proj", "blk.4.ssm_in.weight"},
        {"model.layers.12345.self_attn.q_proj", NULL}, {"model.layers.-1.self_attn.q_proj", NULL}, {"model.layers..self_attn.q_proj", NULL}, {"model.layers.1", NULL}, {"model.layers.1.", NULL},
        {"model.layers.1.self_attn.q_projx", NULL}, {"model.layers.1.self_attn.q_pro", NULL}, {"gpt_neox.layers.1.attention.query_key_value", NULL}, {"", NULL}, {"base_model.model.", NULL},
        {"transformer.h.1.self_attn.q_proj", NULL}, {"model.layers.1 .self_attn.q_proj", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[128] = "";
        bool known = adapter_tensor_name(slice_of(cases[i].module), out);
        if (known != (cases[i].tensor != NULL) || (known && strcmp(out, cases[i].tensor) != 0)) fail_msg("%s is taken for \"%s\"", cases[i].module, out);
    }
}

/* ---- what is refused ---- */

static void refused(const char *path, int code, const char *says, const char *also) {
    struct err e = {0};
    struct adapter *a = NULL;
    int64_t before = mem_live();
    int got = adapter_open(&a, path, model, 1, &e);
    if (got != code || e.code != code || !strstr(e.msg, says) || !strstr(e.msg, also) || strchr(e.msg, '\n') || a)
        fail_msg("%d \"%s\", not %d with \"%s\" and \"%s\"", got, e.msg, code, says, also);
    assert_int_equal(mem_live(), before);
}

static void bad_configurations(void **state) {
    (void)state;
#define BASE "\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6"
    static const struct {
        const char *config;
        int code;
        const char *says;
    } cases[] = {
        {"", ERR_FORMAT, "not valid JSON"}, {"[]", ERR_FORMAT, "neither"}, {"{", ERR_FORMAT, "not valid JSON"}, {"{}", ERR_FORMAT, "peft_type"},
        {"{\"peft_type\": \"LORA\", \"r\": 3, \"r\": 4}", ERR_FORMAT, "not valid JSON"}, {"{\"peft_type\": \"IA3\"}", ERR_UNSUPPORTED, "IA3"}, {"{\"peft_type\": 3}", ERR_UNSUPPORTED, "peft_type"},
        {"{\"peft_type\": \"LORA\"}", ERR_FORMAT, "\"r\""}, {"{\"peft_type\": \"LORA\", \"r\": 0, \"lora_alpha\": 6}", ERR_FORMAT, "\"r\""}, {"{\"peft_type\": \"LORA\", \"r\": 3.5, \"lora_alpha\": 6}", ERR_FORMAT, "\"r\""},
        {"{\"peft_type\": \"LORA\", \"r\": 3}", ERR_FORMAT, "lora_alpha"}, {"{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": \"6\"}", ERR_FORMAT, "lora_alpha"},
        {"{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 1e300}", ERR_FORMAT, "lora_alpha"}, {"{\"peft_type\": \"LORA\", \"r\": 8, \"lora_alpha\": 6}", ERR_FORMAT, "is of rank 3"},
        {"{" BASE ", \"modules_to_save\": [\"lm_head\", \"embed_tokens\"]}", ERR_UNSUPPORTED, "\"modules_to_save\" is lm_head"}, {"{" BASE ", \"use_dora\": true}", ERR_UNSUPPORTED, "use_dora"},
        {"{" BASE ", \"bias\": \"all\"}", ERR_UNSUPPORTED, "\"bias\" is all"}, {"{" BASE ", \"init_lora_weights\": \"pissa_niter_4\"}", ERR_UNSUPPORTED, "pissa_niter_4"},
        {"{" BASE ", \"layer_replication\": [[0, 4]]}", ERR_UNSUPPORTED, "layer_replication"}, {"{" BASE ", \"trainable_token_indices\": [5]}", ERR_UNSUPPORTED, "trainable_token_indices"},
        {"{" BASE ", \"target_parameters\": [\"mlp.experts\"]}", ERR_UNSUPPORTED, "mlp.experts"}, {"{" BASE ", \"lora_bias\": true}", ERR_UNSUPPORTED, "lora_bias"},
        {"{" BASE ", \"alpha_pattern\": {\"q_.*\": 4}}", ERR_UNSUPPORTED, "q_.*"}, {"{" BASE ", \"alpha_pattern\": {\"q_proj\": null}}", ERR_FORMAT, "q_proj"}, {"{" BASE ", \"alpha_pattern\": [1]}", ERR_FORMAT, "alpha_pattern"},
        {"{" BASE ", \"alora_invocation_tokens\": []}", ERR_FORMAT, "alora_invocation_tokens"}, {"{" BASE ", \"alora_invocation_tokens\": [1, -1]}", ERR_FORMAT, "number 1"},
        {"{" BASE ", \"alora_invocation_tokens\": [1, 50]}", ERR_FORMAT, "the token 50"}, {"{" BASE ", \"alora_invocation_tokens\": \"hello\"}", ERR_FORMAT, "alora_invocation_tokens"},
        {"{\"lora_parameters\": {\"rank\": 3, \"scale\": 20}}", ERR_UNSUPPORTED, "neither half"}, /* MLX's configuration beside PEFT's names */
    };
#undef BASE
    write_all(PEFT, DT_F32, "{}");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(in_folder("adapter_config.json"), cases[i].config);
        refused(in_folder("adapter_model.safetensors"), cases[i].code, cases[i].says, "");
    }
    write_all(MLX, DT_F32, "{\"lora_parameters\": {\"rank\": 3}}");
    refused(folder, ERR_FORMAT, "\"scale\"", "adapter_config.json");
    write_text(in_folder("adapter_config.json"), "{\"fine_tune_type\": \"dora\", \"lora_parameters\": {\"rank\": 3, \"scale\": 2}}");
    refused(folder, ERR_UNSUPPORTED, "dora", "fine_tune_type");
    (void)unlink(in_folder("adapter_config.json"));
    refused(folder, ERR_IO, "how strongly", "adapter_config.json");
    refused(in_folder("adapters.safetensors"), ERR_IO, "how strongly", "adapter_config.json");
    refused(in_folder("not-there.safetensors"), ERR_IO, "how strongly", "");
    refused(in_folder("not-there"), ERR_IO, "not-there", "");
    write_text(in_folder("adapter_config.json"), "{\"lora_parameters\": {\"rank\": 3, \"scale\": 2}}");
    (void)unlink(in_folder("adapters.safetensors"));
    refused(folder, ERR_IO, "adapters.safetensors", "");
}

static const char good_config[] = "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6, \"rank_pattern\": {\"x\": 1}}";

/* One spoilt tensor beside a good pair. */
static void bad_tensors(void **state) {
    (void)state;
#define Q "base_model.model.model.layers.0.self_attn.q_proj"
    static const struct {
        const char *name;
        int64_t n0, n1;
        int code;
        const char *says;
    } cases[] = {
        {Q ".lora_A.weight", 32, 3, ERR_FORMAT, "has no partner (B)"},
        {Q ".lora_B.weight", 3, 128, ERR_FORMAT, "has no partner (A)"},
        {Q ".lora_embedding_A", 32, 3, ERR_UNSUPPORTED, "adapter of embeddings"},
        {Q ".lora_magnitude_vector", 32, 1, ERR_UNSUPPORTED, "DoRA"},
        {Q ".weight", 32, 128, ERR_UNSUPPORTED, "neither half"},
        {"base_model.model.model.embed_tokens.lora_A.weight", 32, 3, ERR_UNSUPPORTED, "embeddings"},
        {"base_model.model.model.layers.0.mlp.experts.3.up_proj.lora_A.weight", 32, 3, ERR_UNSUPPORTED, "experts"},
        {"base_model.model.model.layers.0.self_attn.rotary.lora_A.weight", 32, 3, ERR_UNSUPPORTED, "rotary"},
        {"base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight", 32, 3, ERR_FORMAT, "no partner"},
        {".lora_A.weight", 32, 3, ERR_UNSUPPORTED, ".lora_A.weight"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct writing w = {.n = 0};
        add_pair(&w, PEFT, 2, DT_F32);
        (void)add(&w, cases[i].name, DT_F32, cases[i].n0, cases[i].n1);
        write_safetensors(PEFT, &w, good_config);
        refused(folder, cases[i].code, cases[i].says, i < 2 ? "q_proj" : "");
        forget(&w);
    }
    static const struct {
        const char *stem;
        int64_t a0, a1, b0, b1;
        enum dtype type;
        int code;
        const char *says;
    } pairs[] = {
        {Q, 31, 3, 3, 128, DT_F32, ERR_FORMAT, "{31, 3}"}, {Q, 32, 3, 3, 127, DT_F32, ERR_FORMAT, "{3, 127}"}, {Q, 32, 3, 4, 128, DT_F32, ERR_FORMAT, "{4, 128}"}, {Q, 32, 2000, 2000, 128, DT_F32, ERR_UNSUPPORTED, "rank 2000"},
        {"base_model.model.model.layers.9.self_attn.q_proj", 32, 3, 3, 128, DT_F32, ERR_FORMAT, "blk.9.attn_q.weight"}, {"base_model.model.model.layers.0.mlp.gate", 32, 3, 3, 8, DT_F32, ERR_FORMAT, "ffn_gate_inp"},
        {Q, 32, 3, 3, 128, DT_I32, ERR_UNSUPPORTED, "I32"},
    };
#undef Q
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct writing w = {.n = 0};
        char name[120];
        (void)snprintf(name, sizeof name, "%s.lora_A.weight", pairs[i].stem);
        (void)add(&w, name, pairs[i].type, pairs[i].a0, pairs[i].a1);
        (void)snprintf(name, sizeof name, "%s.lora_B.weight", pairs[i].stem);
        (void)add(&w, name, pairs[i].type, pairs[i].b0, pairs[i].b1);
        write_safetensors(PEFT, &w, good_config);
        refused(folder, pairs[i].code, pairs[i].says, "");
        forget(&w);
    }
    struct writing w = {.n = 0};
    add_pair(&w, PEFT, 2, DT_F32);
    set(&w.t[1], 1, 5, INFINITY);
    write_safetensors(PEFT, &w, good_config);
    refused(folder, ERR_FORMAT, "not finite", "v_proj.lora_B");
    forget(&w);
    write_safetensors(PEFT, &w, good_config);
    refused(folder, ERR_FORMAT, "no tensor", "");
}

static void bad_gguf(void **state) {
    (void)state;
    struct err e = {0};
    struct writing w = {.n = 0};
    const char *path = in_folder("adapter.gguf");
    add_pair(&w, GGUF, 0, DT_F32);
    write_gguf(path, &w, "qwen3", 3);
    refused(path, ERR_FORMAT, "qwen3", "llama");
    (void)add(&w, "blk.0.attn_norm.weight", DT_F32, 32, 1);
    write_gguf(path, &w, "llama", 3);
    refused(path, ERR_UNSUPPORTED, "blk.0.attn_norm.weight", "neither");
    forget(&w);
    (void)add(&w, "token_embd.weight.lora_a", DT_F32, 32, 3);
    (void)add(&w, "token_embd.weight.lora_b", DT_F32, 3, 50);
    write_gguf(path, &w, "llama", 3);
    refused(path, ERR_UNSUPPORTED, "embeddings", "token_embd");
    static const char *const keys[][2] = {{"general.type", "model"}, {"adapter.type", "control"}};
    static const float one = 1;
    for (int i = 0; i < 4; i++) {
        struct gguf_writer *out;
        OK(gguf_writer_new(&out, &e));
        if (i) OK(gguf_put_str(out, "general.type", slice_of(i == 1 ? keys[0][1] : "adapter"), &e));
        if (i > 1) OK(gguf_put_str(out, "adapter.type", slice_of(i == 2 ? keys[1][1] : "lora"), &e));
        if (i == 3) OK(gguf_put_array(out, "adapter.alora.invocation_tokens", GGUF_F32, &one, 1, &e));
        for (int k = 0; k < w.n; k++) OK(gguf_put_tensor(out, &w.t[k], NULL, NULL, &e));
        OK(gguf_write(out, path, &e));
        gguf_writer_free(out);
        refused(path, i == 1 || i == 2 ? ERR_UNSUPPORTED : ERR_FORMAT, i == 3 ? "invocation_tokens" : keys[i / 2][0], i == 1 || i == 2 ? keys[i / 2][1] : "");
    }
    forget(&w);
    OK(os_write_file(path, tiny.file.data, tiny.file.len, &e)); /* a model is no adapter */
    refused(path, ERR_FORMAT, "general.type", "");
}

/* Every allocation fails once, whatever kind the files are of. */
static void out_of_memory(void **state) {
    (void)state;
    for (enum kind kind = GGUF; kind <= MLX; kind++) {
        write_all(kind, DT_F16, kind == PEFT ? "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6, \"alora_invocation_tokens\": [1, 2]}" : "{\"lora_parameters\": {\"rank\": 3, \"scale\": 20}}");
        const char *path = kind == GGUF ? in_folder("adapter.gguf") : folder;
        int64_t before = mem_live();
        for (int64_t n = 1;; n++) {
            struct err e = {0};
            struct adapter *a = NULL;
            mem_fail_after(n);
            int code = adapter_open(&a, path, model, 1, &e);
            bool failed = mem_has_failed();
            mem_fail_after(0);
            adapter_close(a);
            assert_int_equal(mem_live(), before);
            if (failed ? code != ERR_MEMORY || !strstr(e.msg, "memory") : code != 0) fail_msg("allocation %d: %d \"%s\"", (int)n, code, e.msg);
            if (failed) continue;
            assert_true(n > 10);
            break;
        }
    }
}

/* ---- real ones ---- */

static void real_adapters(void **state) {
    (void)state;
    static const struct {
        const char *file, *first;
        int n, layers, width;
    } cases[] = {{"mlx-examples_0000100_adapters.safetensors", "blk.36.attn_q.weight", 8, 4, 2304},
                 {"mlx-lm_test_dpo_adapters.safetensors", "blk.22.attn_q.weight", 4, 2, 896},
                 {"ollama_discollama_adapters.safetensors", "blk.30.attn_q.weight", 4, 2, 4096}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[200], real[4096];
        struct err e = {0};
        struct adapter_file f = {0};
        (void)snprintf(path, sizeof path, "adapters/%s", cases[i].file);
        char found[4096];
        if (!shared_data(found, sizeof found, path)) continue;
        assert_non_null(realpath(found, real));
        (void)unlink(in_folder("adapters.safetensors"));
        assert_int_equal(symlink(real, in_folder("adapters.safetensors")), 0);
        write_text(in_folder("adapter_config.json"), "{\"lora_parameters\": {\"rank\": 8, \"scale\": 20.0}}");
        OK(adapter_read(&f, folder, &e));
        uint32_t at;
        assert_int_equal(f.n, cases[i].n);
        assert_int_equal(f.n, 2 * cases[i].layers);
        assert_true(strmap_get(&f.names, slice_of(cases[i].first), &at));
        assert_true(f.transposed && f.turned);
        assert_int_equal(f.entries[at].a->ne[1], cases[i].width);
        assert_int_equal(f.entries[at].b->ne[0], cases[i].width);
        for (int k = 0; k < f.n; k++) {
            assert_int_equal(f.entries[k].a->ne[0], 8);
            assert_int_equal(f.entries[k].b->ne[1], 8);
            assert_true(fabsf(f.entries[k].scale - 20) < 1e-6f);
        }
        adapter_file_close(&f);
        refused(folder, ERR_FORMAT, "which tiny.gguf has not", ""); /* it is no adapter of the tiny model */
        (void)unlink(in_folder("adapters.safetensors"));
    }
}

static int begin(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    open_model(TINY_LLAMA);
    return 0;
}

static int end(void **state) {
    (void)state;
    close_model();
    static const char *const made[] = {"adapter.gguf", "adapter_config.json", "adapter_model.safetensors", "adapters.safetensors"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) (void)unlink(in_folder(made[i]));
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_of_files), cmocka_unit_test(strengths), cmocka_unit_test(quantised),     cmocka_unit_test(names),         cmocka_unit_test(descriptions),  cmocka_unit_test(bad_configurations),
        cmocka_unit_test(bad_tensors),        cmocka_unit_test(bad_gguf),  cmocka_unit_test(out_of_memory), cmocka_unit_test(real_adapters),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
