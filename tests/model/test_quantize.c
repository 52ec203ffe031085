/* test_quantize.c: quantising whole files: the types chosen, what is kept, what is refused, and every allocation failing. That the types are
 * those of other programs on many models is tests/oracle/quantize.py; that the results run is tests/engine/test_kld.c. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/os.h"
#include "base/rng.h"
#include "model/quantize.h"

static char folder[] = "/tmp/hearth-test-quantize-XXXXXX";
static char in[96], out[96], other[96], part1[96], part2[96];

#define OK(call)                                           \
    do {                                                   \
        if ((call) != 0) fail_msg("%s: %s", #call, e.msg); \
    } while (0)

/* The shape of a model to be written: what the rules look at. */
struct shape {
    const char *arch;
    uint32_t layers, heads, heads_kv, width, experts;
    bool tied;
};
enum { ROWS = 2 };

/* Data of a tensor, from its name. */
static int fill(void *ctx, const struct tensor *t, void *data, struct err *e) {
    struct rng rng = rng_new(strlen(t->name), (uint64_t)t->name[strlen(t->name) / 2]);
    float *x = data;
    (void)ctx, (void)e;
    for (int64_t i = 0; i < tensor_elements(t); i++) x[i] = (float)(rng_unit(&rng) - 0.5);
    return 0;
}

/* name must live until the file is written */
static void add(struct gguf_writer *w, const char *name, int64_t width, int64_t rows, int64_t experts) {
    struct err e = {0};
    struct tensor t = {.name = name, .type = DT_F32, .n_dims = experts > 1 ? 3 : rows > 1 ? 2 : 1, .ne = {width, rows, experts, 1}};
    t.size = dtype_size(DT_F32, (uint64_t)tensor_elements(&t));
    OK(gguf_put_tensor(w, &t, fill, NULL, &e));
}

static void write_shape(const struct shape *s, const char *path) {
    struct err e = {0};
    struct arena a = {0};
    struct gguf_writer *w;
    OK(gguf_writer_new(&w, &e));
    OK(gguf_put_str(w, "general.architecture", slice_of(s->arch), &e));
    OK(gguf_put_str(w, "general.name", SLICE("a shape"), &e));
    OK(gguf_put_u32(w, arena_printf(&a, "%s.block_count", s->arch), s->layers, &e));
    OK(gguf_put_u32(w, arena_printf(&a, "%s.attention.head_count", s->arch), s->heads, &e));
    OK(gguf_put_u32(w, arena_printf(&a, "%s.attention.head_count_kv", s->arch), s->heads_kv, &e));
    if (s->experts) OK(gguf_put_u32(w, arena_printf(&a, "%s.expert_count", s->arch), s->experts, &e));
    add(w, "token_embd.weight", s->width, ROWS, 1);
    if (!s->tied) add(w, "output.weight", s->width, ROWS, 1);
    for (uint32_t i = s->layers; i-- > 0;) { /* the order of the file must not matter */
        static const char *const plain[] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_gate"};
        add(w, arena_printf(&a, "blk.%u.attn_norm.weight", i), s->width, 1, 1);
        for (size_t k = 0; k < sizeof plain / sizeof *plain; k++) add(w, arena_printf(&a, "blk.%u.%s.weight", i, plain[k]), s->width, ROWS, 1);
        if (s->experts) {
            add(w, arena_printf(&a, "blk.%u.ffn_gate_inp.weight", i), s->width, ROWS, 1);
            add(w, arena_printf(&a, "blk.%u.ffn_down_exps.weight", i), s->width, ROWS, s->experts);
        } else {
            add(w, arena_printf(&a, "blk.%u.ffn_down.weight", i), s->width, ROWS, 1);
        }
    }
    OK(gguf_write(w, path, &e));
    gguf_writer_free(w);
    arena_free(&a);
}

static void open_shape(const struct shape *s, struct gguf **g) {
    struct err e = {0};
    write_shape(s, in);
    OK(gguf_open(g, in, &e));
}

/* The type of one tensor for a target. */
static enum dtype type_of(const struct gguf *g, const char *target, bool pure, const char *tensor) {
    struct err e = {0};
    enum dtype types[1024];
    assert_true(gguf_tensor_count(g) <= 1024);
    OK(quantize_types(g, quant_target_find(target), pure, types, NULL, &e));
    for (size_t i = 0; i < gguf_tensor_count(g); i++)
        if (strcmp(gguf_tensor_at(g, i)->name, tensor) == 0) return types[i];
    fail_msg("no tensor %s", tensor);
    return DT_F32;
}

/* The bits of one tensor of every layer, as digits: "644..." */
static void expect_layers(const struct gguf *g, uint32_t layers, const char *target, const char *part, const char *expected) {
    char got[128] = "", name[64];
    for (uint32_t i = 0; i < layers; i++) {
        (void)snprintf(name, sizeof name, "blk.%u.%s.weight", i, part);
        got[i] = dtype_info((uint32_t)type_of(g, target, false, name))->name[1];
    }
    if (strcmp(got, expected) != 0) fail_msg("%s %s: %s, not %s", target, part, got, expected);
}

static void mixes(void **state) {
    (void)state;
    struct gguf *g;
    struct shape s = {"llama", 16, 8, 4, 256, 0, false};
    open_shape(&s, &g);
    expect_layers(g, 16, "Q4_K_M", "attn_v", "6644644644644666"); /* the first two, the last two, every third between */
    expect_layers(g, 16, "Q4_K", "ffn_down", "6644644644644666");
    expect_layers(g, 16, "q5_k_m", "ffn_down", "6655655655655666");
    expect_layers(g, 16, "Q4_K_S", "attn_v", "5555444444444444");
    expect_layers(g, 16, "Q4_K_S", "ffn_down", "5544444444444444");
    expect_layers(g, 16, "Q3_K_M", "attn_v", "5544444444444444");
    expect_layers(g, 16, "Q3_K_M", "ffn_down", "5444444444444444");
    expect_layers(g, 16, "Q3_K_L", "attn_output", "5555555555555555");
    expect_layers(g, 16, "Q3_K_S", "ffn_down", "3333333333333333");
    expect_layers(g, 16, "Q2_K", "attn_v", "3333333333333333");
    expect_layers(g, 16, "Q2_K", "attn_q", "2222222222222222");
    assert_int_equal(type_of(g, "Q4_K_M", false, "output.weight"), DT_Q6_K);
    assert_int_equal(type_of(g, "Q4_K_M", false, "token_embd.weight"), DT_Q4_K);
    assert_int_equal(type_of(g, "Q4_K_M", true, "output.weight"), DT_Q4_K);
    assert_int_equal(type_of(g, "Q8_0", false, "output.weight"), DT_Q8_0);
    assert_int_equal(type_of(g, "TQ1_0", false, "token_embd.weight"), DT_Q4_K);
    assert_int_equal(type_of(g, "Q4_0", false, "blk.3.attn_norm.weight"), DT_F32);
    assert_int_equal(type_of(g, "BF16", false, "output.weight"), DT_BF16);
    gguf_close(g);
}

static void shapes(void **state) {
    (void)state;
    struct gguf *g;
    open_shape(&(struct shape){"llama", 8, 8, 2, 256, 8, true}, &g);
    assert_int_equal(type_of(g, "Q4_K_M", false, "token_embd.weight"), DT_Q6_K); /* it is the output too */
    assert_int_equal(type_of(g, "Q4_K_M", false, "blk.0.attn_v.weight"), DT_Q8_0); /* eight experts */
    assert_int_equal(type_of(g, "Q4_K_M", false, "blk.0.attn_k.weight"), DT_Q8_0);
    assert_int_equal(type_of(g, "Q4_K_M", false, "blk.0.attn_output.weight"), DT_Q5_K);
    assert_int_equal(type_of(g, "Q4_K_M", false, "blk.0.ffn_gate_inp.weight"), DT_F32);
    assert_int_equal(type_of(g, "Q4_K_M", false, "blk.7.ffn_down_exps.weight"), DT_Q6_K);
    assert_int_equal(type_of(g, "Q4_K_M", false, "blk.2.ffn_down_exps.weight"), DT_Q4_K);
    assert_int_equal(type_of(g, "MXFP4", false, "blk.2.ffn_down_exps.weight"), DT_MXFP4);
    assert_int_equal(type_of(g, "MXFP4", false, "blk.2.ffn_up.weight"), DT_Q8_0);
    assert_int_equal(type_of(g, "MXFP4", true, "blk.2.ffn_up.weight"), DT_MXFP4);
    gguf_close(g);
    open_shape(&(struct shape){"llama", 80, 8, 1, 256, 0, false}, &g);
    assert_int_equal(type_of(g, "Q4_K_M", false, "blk.31.attn_v.weight"), DT_Q5_K); /* Q4_K but for the model's size */
    assert_int_equal(type_of(g, "Q2_K", false, "blk.31.attn_v.weight"), DT_Q5_K);
    assert_int_equal(type_of(g, "IQ4_XS", false, "blk.31.attn_v.weight"), DT_Q5_K);
    gguf_close(g);
    open_shape(&(struct shape){"falcon", 32, 8, 1, 256, 0, false}, &g);
    expect_layers(g, 32, "Q4_K_M", "ffn_down", "66554454454454454454454454455555");
    assert_int_equal(type_of(g, "Q4_K_M", false, "output.weight"), DT_Q8_0);
    gguf_close(g);
}

static void rows_that_do_not_fit(void **state) {
    (void)state;
    static const struct { const char *target; enum dtype narrow; } cases[] = {
        {"Q2_K", DT_Q4_0}, {"Q3_K_S", DT_Q4_0}, {"Q4_K_M", DT_Q5_0}, {"Q5_K_M", DT_Q5_1}, {"Q6_K", DT_Q8_0},
        {"IQ4_XS", DT_IQ4_NL}, {"TQ1_0", DT_Q4_0}, {"Q4_0", DT_Q4_0}, {"NVFP4", DT_MXFP4}};
    struct err e = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gguf *g;
        enum dtype types[64];
        struct quant_misfits m;
        open_shape(&(struct shape){"llama", 1, 2, 2, 96, 0, false}, &g);
        assert_int_equal(type_of(g, cases[i].target, false, "blk.0.attn_q.weight"), cases[i].narrow);
        gguf_close(g);
        open_shape(&(struct shape){"llama", 1, 2, 2, 100, 0, false}, &g);
        assert_int_equal(type_of(g, cases[i].target, false, "blk.0.attn_q.weight"), DT_F16);
        OK(quantize_types(g, quant_target_find(cases[i].target), false, types, &m, &e));
        assert_int_equal(m.n, 9); /* all but the norm */
        assert_string_equal(m.first->name, "output.weight");
        assert_int_equal(m.given, DT_F16);
        gguf_close(g);
    }
}

static int write_out(const struct gguf *g, const char *path, const char *target, int threads, bool again, struct quantize_report *r, struct err *e) {
    struct pool *pool = NULL;
    struct quantize_options o = {.target = quant_target_find(target), .allow_requantize = again};
    int code = pool_new(&pool, threads, e);
    if (code == 0) code = quantize_write(g, path, &o, pool, r, e);
    pool_free(pool);
    return code;
}

static void what_is_written(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g, *q;
    struct quantize_report r;
    struct buf a = {0}, b = {0};
    open_shape(&(struct shape){"llama", 2, 4, 4, 512, 2, false}, &g);
    OK(write_out(g, out, "Q4_K_M", 1, false, &r, &e));
    OK(write_out(g, other, "Q4_K_M", 3, false, &r, &e));
    OK(os_read_file(out, 1 << 24, &a, &e));
    OK(os_read_file(other, 1 << 24, &b, &e));
    assert_int_equal(a.len, b.len); /* the number of threads changes nothing */
    assert_memory_equal(a.data, b.data, a.len);
    OK(gguf_open(&q, out, &e));
    uint32_t file_type = 0, version = 0;
    struct slice name = {0};
    OK(gguf_get_u32(q, "general.file_type", &file_type, &e));
    OK(gguf_get_u32(q, "general.quantization_version", &version, &e));
    OK(gguf_get_str(q, "general.name", &name, &e));
    assert_int_equal(file_type, 15);
    assert_int_equal(version, 2);
    assert_true(slice_is(name, "a shape"));
    assert_int_equal(gguf_kv_count(q), gguf_kv_count(g) + 2);
    assert_int_equal(gguf_tensor_count(q), gguf_tensor_count(g));
    uint64_t before = 0, after = 0;
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct tensor *from = gguf_tensor_at(g, i), *to = gguf_tensor_at(q, i);
        const struct dtype_info *t = dtype_info((uint32_t)to->type);
        unsigned char row[512 * 4];
        assert_string_equal(from->name, to->name);
        for (int64_t k = 0; k < tensor_rows(from); k++) {
            t->encode((const float *)from->data + k * from->ne[0], row, (size_t)from->ne[0], NULL);
            assert_memory_equal(row, (const char *)to->data + (size_t)k * tensor_row_bytes(to), tensor_row_bytes(to));
        }
        before += from->size;
        after += to->size;
    }
    assert_int_equal(r.bytes_before, before);
    assert_int_equal(r.bytes_after, after);
    assert_int_equal(r.elements, before / 4);
    assert_int_equal(r.tensors, gguf_tensor_count(g));
    assert_int_equal(r.changed, r.tensors - 4); /* two norms, two routers */
    gguf_close(q);
    gguf_close(g);
    buf_free(&a);
    buf_free(&b);
}

/* Quantised sources: refused, unless insisted, or when nothing more is lost. */
static void twice(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g, *q, *f;
    struct quantize_report r;
    open_shape(&(struct shape){"llama", 1, 4, 4, 256, 0, false}, &g);
    OK(write_out(g, out, "Q8_0", 2, false, &r, &e));
    OK(gguf_open(&q, out, &e));
    (void)unlink(other);
    assert_int_equal(write_out(q, other, "Q4_0", 2, false, &r, &e), ERR_USAGE);
    assert_non_null(strstr(e.msg, "is quantised already, as Q8_0"));
    assert_int_equal(access(other, F_OK), -1);
    OK(write_out(q, other, "Q4_0", 2, true, &r, &e));
    OK(write_out(q, other, "Q8_0", 2, false, &r, &e)); /* nothing to do */
    assert_int_equal(r.changed, 0);
    OK(write_out(q, other, "F32", 2, false, &r, &e));
    OK(gguf_open(&f, other, &e));
    for (size_t i = 0; i < gguf_tensor_count(f); i++) {
        const struct tensor *from = gguf_tensor_at(q, i), *to = gguf_tensor_at(f, i);
        float row[256];
        assert_int_equal(to->type, DT_F32);
        dtype_info((uint32_t)from->type)->decode(from->data, row, 256);
        assert_memory_equal(row, to->data, sizeof row);
    }
    gguf_close(f);
    gguf_close(q);
    gguf_close(g);
    (void)unlink(other);
}

/* One half of a split file. */
static void write_part(const char *path, uint32_t no, const char *tensor) {
    struct err e = {0};
    struct gguf_writer *w;
    OK(gguf_writer_new(&w, &e));
    if (no == 0) OK(gguf_put_str(w, "general.architecture", SLICE("llama"), &e));
    OK(gguf_put_u32(w, "split.no", no, &e));
    OK(gguf_put_u32(w, "split.count", 2, &e));
    OK(gguf_put_u32(w, "split.tensors.count", 2, &e));
    add(w, tensor, 256, 3, 1);
    OK(gguf_write(w, path, &e));
    gguf_writer_free(w);
}

static void split_input(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g, *q;
    struct quantize_report r;
    write_part(part1, 0, "blk.0.attn_q.weight");
    write_part(part2, 1, "blk.1.attn_q.weight");
    OK(gguf_open(&g, part1, &e));
    OK(write_out(g, out, "Q6_K", 2, false, &r, &e));
    OK(gguf_open(&q, out, &e));
    assert_int_equal(gguf_part_count(q), 1);
    assert_null(gguf_find(q, "split.count"));
    assert_int_equal(gguf_tensor_count(q), 2);
    for (size_t i = 0; i < 2; i++) assert_int_equal(gguf_tensor_at(q, i)->type, DT_Q6_K);
    gguf_close(q);
    gguf_close(g);
}

static int stop_at_half(void *ctx, const char *tensor, uint64_t done, uint64_t total, struct err *e) {
    (void)tensor;
    ++*(int *)ctx;
    return done > total / 2 ? err_set(e, ERR_CANCELLED, "enough") : 0;
}

/* Ends the writing at a quarter of the input, and counts the calls within the tensor. */
struct quarter {
    int within, after;
    uint64_t last;
    bool backwards;
};

static int stop_at_quarter(void *ctx, const char *tensor, uint64_t done, uint64_t total, struct err *e) {
    struct quarter *q = ctx;
    (void)tensor;
    q->after += q->last > total / 4;
    q->within += done > 0 && done < total;
    q->backwards |= done < q->last;
    q->last = done;
    return done > total / 4 ? err_set(e, ERR_CANCELLED, "enough") : 0;
}

static int stop_at_third_call(void *ctx, const char *tensor, uint64_t done, uint64_t total, struct err *e) {
    (void)tensor, (void)done, (void)total;
    return ++*(int *)ctx == 3 ? err_set(e, ERR_CANCELLED, "enough") : 0;
}

/* One tensor of four megabytes: stopped while it is converted, by any number of threads, and while it is copied as it is. */
static void stops_within_a_tensor(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g;
    struct gguf_writer *w;
    struct quantize_report r;
    OK(gguf_writer_new(&w, &e));
    OK(gguf_put_str(w, "general.architecture", SLICE("llama"), &e));
    add(w, "output.weight", 1024, 1024, 1);
    OK(gguf_write(w, in, &e));
    gguf_writer_free(w);
    OK(gguf_open(&g, in, &e));
    (void)unlink(out);
    for (int threads = 1; threads <= 3; threads++) {
        struct pool *pool;
        struct quarter q = {0};
        int calls = 0;
        OK(pool_new(&pool, threads, &e));
        struct quantize_options o = {.target = quant_target_find("Q8_0"), .progress = stop_at_quarter, .ctx = &q};
        assert_int_equal(quantize_write(g, out, &o, pool, &r, &e), ERR_CANCELLED);
        assert_string_equal(e.msg, "enough");
        assert_int_equal(access(out, F_OK), -1);
        assert_true((q.within > 0 || threads > 1) && !q.backwards && q.after == 0); /* of several the driving one may be late */
        o = (struct quantize_options){.target = quant_target_find("F32"), .progress = stop_at_third_call, .ctx = &calls};
        assert_int_equal(quantize_write(g, out, &o, pool, &r, &e), ERR_CANCELLED);
        assert_int_equal(r.changed, 0);
        assert_int_equal(calls, 3);
        assert_int_equal(access(out, F_OK), -1);
        pool_free(pool);
    }
    gguf_close(g);
}

static void errors(void **state) {
    (void)state;
    struct err e = {0};
    struct gguf *g;
    struct quantize_report r;
    struct pool *pool;
    struct gguf_writer *w;
    int calls = 0;
    char missing[128];
    assert_null(quant_target_find("Q9_K"));
    assert_null(quant_target_find(""));
    open_shape(&(struct shape){"llama", 1, 4, 4, 256, 0, false}, &g);
    (void)snprintf(missing, sizeof missing, "%s/none/out.gguf", folder);
    assert_int_equal(write_out(g, missing, "Q8_0", 1, false, &r, &e), ERR_IO);
    OK(pool_new(&pool, 1, &e));
    (void)unlink(out);
    struct quantize_options o = {.target = quant_target_find("Q8_0"), .progress = stop_at_half, .ctx = &calls};
    assert_int_equal(quantize_write(g, out, &o, pool, &r, &e), ERR_CANCELLED);
    assert_int_equal(access(out, F_OK), -1);
    assert_true(calls > 2);
    pool_free(pool);
    gguf_close(g);
    /* a key of the wrong kind */
    OK(gguf_writer_new(&w, &e));
    OK(gguf_put_str(w, "general.architecture", SLICE("llama"), &e));
    OK(gguf_put_str(w, "llama.block_count", SLICE("many"), &e));
    add(w, "output.weight", 256, ROWS, 1);
    OK(gguf_write(w, in, &e));
    gguf_writer_free(w);
    OK(gguf_open(&g, in, &e));
    assert_int_equal(write_out(g, out, "Q4_K_M", 1, false, &r, &e), ERR_FORMAT);
    assert_non_null(strstr(e.msg, "llama.block_count"));
    gguf_close(g);
}

static void every_allocation(void **state) {
    (void)state;
    struct gguf *g;
    struct quantize_report r;
    bool failed = true;
    int n = 0;
    open_shape(&(struct shape){"llama", 1, 4, 4, 256, 0, false}, &g);
    (void)unlink(out);
    while (failed) {
        struct err e = {0};
        int64_t before = mem_live();
        mem_fail_after(++n);
        int code = write_out(g, out, "Q4_K_M", 2, false, &r, &e);
        failed = mem_has_failed();
        mem_fail_after(0);
        assert_int_equal(mem_live(), before);
        if (failed ? code != ERR_MEMORY || !strstr(e.msg, "memory") : code != 0) fail_msg("allocation %d: %d \"%s\"", n, code, e.msg);
        assert_int_equal(access(out, F_OK), failed ? -1 : 0);
    }
    assert_true(n > 10);
    gguf_close(g);
}

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    (void)snprintf(in, sizeof in, "%s/in.gguf", folder);
    (void)snprintf(out, sizeof out, "%s/out.gguf", folder);
    (void)snprintf(other, sizeof other, "%s/other.gguf", folder);
    (void)snprintf(part1, sizeof part1, "%s/p-00001-of-00002.gguf", folder);
    (void)snprintf(part2, sizeof part2, "%s/p-00002-of-00002.gguf", folder);
    log_set_level(LOG_ERROR);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    (void)unlink(in);
    (void)unlink(out);
    (void)unlink(other);
    (void)unlink(part1);
    (void)unlink(part2);
    return rmdir(folder) == 0 && mem_live() == 0 ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixes), cmocka_unit_test(shapes), cmocka_unit_test(rows_that_do_not_fit), cmocka_unit_test(what_is_written),
        cmocka_unit_test(twice), cmocka_unit_test(split_input),       cmocka_unit_test(errors), cmocka_unit_test(every_allocation),
        cmocka_unit_test(stops_within_a_tensor),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
