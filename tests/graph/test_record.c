/* test_record.c: mistakes of recording: the first is kept, says what and where, and everything after it is harmless. And what a graph knows of itself: costs,
 * uses, sizes. */
#include "lab.h"

static struct lab l;
static val x32, y16; /* values of 32 and 16 columns */
static const struct tensor *t;

static const struct tensor *named(const char *name, enum dtype type, int64_t n0, int64_t n1, int64_t n2) {
    const struct tensor *made = lab_tensor_of(&l, type == DT_I8 ? DT_F32 : type, n0, n1, n2, 0, 1);
    ((struct tensor *)(uintptr_t)made)->name = name;
    ((struct tensor *)(uintptr_t)made)->type = type;
    return made;
}

/* ---- each records one mistake ---- */

static val wrong_input(void) { return op_linear(l.g, x32, NULL, (struct linear){.w = named("w_in", DT_F32, 16, 8, 1)}); }
static val wrong_bias(void) { return op_linear(l.g, x32, NULL, (struct linear){.w = named("w", DT_F32, 32, 8, 1), .b = named("w_bias", DT_F32, 9, 1, 1)}); }
static val wrong_scale(void) { return op_linear(l.g, x32, NULL, (struct linear){.w = named("w", DT_F32, 32, 8, 1), .s = named("w_scale", DT_F32, 2, 1, 1)}); }
static val integers(void) { return op_linear(l.g, x32, NULL, (struct linear){.w = named("w_ints", DT_I8, 32, 8, 1)}); }
static val integer_bias(void) { return op_linear(l.g, x32, NULL, (struct linear){.w = named("w", DT_F32, 32, 8, 1), .b = named("b_ints", DT_I8, 8, 1, 1)}); }
static val no_matrix(void) { return op_linear(l.g, x32, NULL, (struct linear){0}); }
static val wrong_heads(void) { return op_linear_heads(l.g, x32, named("w_heads", DT_F32, 16, 8, 3)); }
static val wrong_norm(void) { return op_norm(l.g, x32, (struct norm){.weight = named("norm_w", DT_F32, 31, 1, 1)}); }
static val wrong_group(void) { return op_norm(l.g, x32, (struct norm){.group = 7}); }
static val wrong_eps(void) { return op_norm(l.g, x32, (struct norm){.eps = -1}); }
static val norm_in_linear(void) {
    struct norm n = {.bias = named("norm_b", DT_F32, 16, 1, 1)};
    return op_linear(l.g, x32, &n, (struct linear){.w = named("w", DT_F32, 32, 8, 1)});
}
static val unequal(void) { return op_add(l.g, x32, y16); }
static val unequal_gate(void) { return op_linear_glu(l.g, x32, y16, ACT_SILU, (struct linear){.w = named("w", DT_F32, 32, 8, 1)}); }
static val wrong_last(void) { return op_add_last(l.g, y16, op_linear(l.g, x32, NULL, (struct linear){.w = named("w", DT_F32, 32, 8, 1)})); }
static val unequal_glu(void) { return op_glu(l.g, x32, y16, ACT_SILU); }
static val wrong_factor(void) { return op_mul_tensor(l.g, x32, named("factor", DT_F32, 5, 1, 1)); }
static val wrong_gates(void) { return op_gate_heads(l.g, x32, op_slice(l.g, y16, 0, 5), ACT_SILU); }
static val wrong_rows(void) { return op_add(l.g, x32, op_rows(l.g, x32)); }
static val wrong_join(void) { return op_join_heads(l.g, x32, y16, 3, 3); }
static val wrong_pick(void) { return op_pick_heads(l.g, x32, 4, 6, 3); }
static val pick_far(void) { return op_pick_heads(l.g, x32, 4, INT32_MAX, INT32_MAX); }
static val wrong_slice(void) { return op_slice(l.g, x32, 30, 3); }
static val slice_far(void) { return op_slice(l.g, x32, INT32_MAX, INT32_MAX); }
static val slice_below(void) { return op_slice(l.g, x32, -1, 3); }
static val no_value(void) { return op_act(l.g, NO_VAL, ACT_SILU); }
static val odd_turn(void) { return op_rope_table(l.g, (struct rope){.n_rot = 5, .theta = 1e4f, .freq_scale = 1}); }
static val no_theta(void) { return op_rope_table(l.g, (struct rope){.n_rot = 6, .freq_scale = 1}); }
static val far_section(void) { return op_rope_table(l.g, (struct rope){.n_rot = 6, .theta = 1e4f, .freq_scale = 1, .sections = {INT32_MAX, INT32_MAX, 0, 0}}); }
static val wrong_factors(void) { return op_rope_table(l.g, (struct rope){.n_rot = 6, .theta = 1e4f, .freq_scale = 1, .factors = named("rope_f", DT_F32, 4, 1, 1)}); }
static val wide_turn(void) { return op_rope(l.g, x32, op_rope_table(l.g, (struct rope){.n_rot = 6, .theta = 1e4f, .freq_scale = 1}), ROPE_NEOX, 8, 3); }
static val no_temperature(void) { return op_temperature(l.g, x32, 1, 0); }
static val wrong_positions(void) { return op_embed_position(l.g, x32, named("positions", DT_F32, 16, 9, 1)); }
static val wrong_table(void) { return op_embed(l.g, named("table", DT_I8, 16, 9, 1), 1); }
static val thick_table(void) { return op_embed(l.g, named("thick", DT_F32, 16, 9, 2), 1); }
static val wrong_share(void) { return op_attention(l.g, x32, x32, x32, (struct attention){.n_head = 4, .n_head_kv = 3, .head_k = 8, .head_v = 8}); }
static val wrong_queries(void) { return op_attention(l.g, y16, x32, x32, (struct attention){.n_head = 4, .n_head_kv = 4, .head_k = 8, .head_v = 8}); }
static val wrong_values(void) { return op_attention(l.g, x32, x32, y16, (struct attention){.n_head = 4, .n_head_kv = 4, .head_k = 8, .head_v = 8}); }
static val wrong_sinks(void) { return op_attention(l.g, x32, x32, x32, (struct attention){.n_head = 4, .n_head_kv = 4, .head_k = 8, .head_v = 8, .sinks = named("sinks", DT_F32, 5, 1, 1)}); }
static val huge_heads(void) { return op_attention(l.g, x32, x32, x32, (struct attention){.n_head = 65536, .n_head_kv = 1, .head_k = 65536, .head_v = 8}); }
static val windows(void) {
    val v = x32;
    for (int w = 1; w <= KV_GROUPS + 1; w++) v = op_attention(l.g, v, v, v, (struct attention){.n_head = 4, .n_head_kv = 4, .head_k = 8, .head_v = 8, .window = w});
    return v;
}
static struct moe mix(const char *wrong) {
    struct moe m = {.n_expert = 16, .n_used = 2, .scale = 1};
    m.gate = named("gate", DT_F32, 32, strcmp(wrong, "gate") ? 8 : 9, 16);
    m.up = named("up", DT_F32, strcmp(wrong, "up") ? 32 : 31, 8, 16);
    m.down = named("down", DT_F32, 8, 32, strcmp(wrong, "down") ? 16 : 15);
    if (strcmp(wrong, "up_b") == 0) m.up_b = named("up_b", DT_F32, 8, 15, 1);
    return m;
}
static val wrong_gate(void) { return op_moe(l.g, x32, y16, mix("gate")); }
static val wrong_up(void) { return op_moe(l.g, x32, y16, mix("up")); }
static val wrong_down(void) { return op_moe(l.g, x32, y16, mix("down")); }
static val wrong_up_b(void) { return op_moe(l.g, x32, y16, mix("up_b")); }
static val wrong_router(void) { return op_moe(l.g, x32, x32, mix("")); }
static val too_many_used(void) {
    struct moe m = mix("");
    m.n_used = 17;
    return op_moe(l.g, x32, y16, m);
}
static val too_few_in_groups(void) {
    struct moe m = mix("");
    m.n_group = 16, m.n_group_used = 1;
    return op_moe(l.g, x32, y16, m);
}
static val wrong_kernel(void) { return op_conv(l.g, x32, named("conv", DT_F32, 4, 31, 1), NULL, false); }
static val wrong_state(void) { return op_ssd(l.g, x32, y16, y16, y16, (struct ssd){.n_head = 16, .head_size = 2, .n_state = 8, .n_group = 3}); }
static val wrong_dt(void) { return op_ssd(l.g, x32, y16, y16, y16, (struct ssd){.n_head = 8, .head_size = 4, .n_state = 8, .n_group = 2}); }
static val wrong_keys(void) { return op_delta(l.g, x32, y16, x32, y16, y16, (struct delta){.n_k = 8, .n_v = 16, .key_size = 4, .value_size = 2, .scale = 1}); }
static val no_keys(void) { return op_delta(l.g, x32, x32, x32, y16, y16, (struct delta){.n_k = 0, .n_v = 16, .key_size = 4, .value_size = 2, .scale = 1}); }

static const struct {
    val (*record)(void);
    int code;
    const char *says;
} mistakes[] = {
    {wrong_input, ERR_FORMAT, "tensor w_in is {16, 8, 1}, but {32, 8, 1} is expected"}, {wrong_bias, ERR_FORMAT, "w_bias has 9 elements where 8"}, {wrong_scale, ERR_FORMAT, "w_scale has 2 elements where 1"},
    {integers, ERR_UNSUPPORTED, "w_ints"}, {integer_bias, ERR_UNSUPPORTED, "b_ints"}, {no_matrix, ERR_INTERNAL, "matrix 0"}, 
    {wrong_heads, ERR_FORMAT, "32 columns where 48"}, {wrong_norm, ERR_FORMAT, "norm_w has 31 elements where 32"}, {wrong_group, ERR_FORMAT, "32 columns are not groups of 7"}, {wrong_eps, ERR_FORMAT, "epsilon is -1"},
    {norm_in_linear, ERR_FORMAT, "norm_b has 16"}, {unequal, ERR_FORMAT, "16 columns where 32"}, {unequal_glu, ERR_FORMAT, "16 columns where 32"}, {unequal_gate, ERR_FORMAT, "16 columns where 32"}, {wrong_last, ERR_FORMAT, "8 columns where 16"}, {wrong_factor, ERR_FORMAT, "factor has 5 elements for 32"},
    {wrong_gates, ERR_FORMAT, "5 gates for 32"}, {wrong_rows, ERR_INTERNAL, "row for every token"}, {wrong_join, ERR_FORMAT, "32 and 16 columns are not 3 heads"}, {wrong_pick, ERR_FORMAT, "3 columns from 6 on of 4 heads in 32"},
    {pick_far, ERR_FORMAT, "2147483647"}, {wrong_slice, ERR_FORMAT, "3 columns from 30 on of a value of 32"}, {slice_far, ERR_FORMAT, "2147483647"}, {slice_below, ERR_FORMAT, "-1"}, {no_value, ERR_INTERNAL, "never computed"},
    {odd_turn, ERR_FORMAT, "5 columns"}, {no_theta, ERR_FORMAT, "base 0"}, {far_section, ERR_FORMAT, "section of 2147483647"}, {wrong_factors, ERR_FORMAT, "rope_f has 4 elements where 3"}, {wide_turn, ERR_FORMAT, "6 columns from 3 on"},
    {no_temperature, ERR_FORMAT, "length is 0"}, {wrong_positions, ERR_FORMAT, "positions is {16, 9, 1}"}, {wrong_table, ERR_UNSUPPORTED, "table"}, {thick_table, ERR_FORMAT, "thick"},
    {wrong_share, ERR_FORMAT, "4 heads over 3"}, {wrong_queries, ERR_FORMAT, "queries: 16 columns where 32"}, {wrong_values, ERR_FORMAT, "values: 16 columns where 32"}, {wrong_sinks, ERR_FORMAT, "sinks has 5"}, {huge_heads, ERR_FORMAT, "4294967296"},
    {windows, ERR_UNSUPPORTED, "4 different windows"}, {wrong_gate, ERR_FORMAT, "gate is {32, 9, 16}"}, {wrong_up, ERR_FORMAT, "up is {31, 8, 16}"}, {wrong_down, ERR_FORMAT, "down is {8, 32, 15}"}, {wrong_up_b, ERR_FORMAT, "up_b has 120"},
    {wrong_router, ERR_FORMAT, "router: 32 columns where 16"}, {too_many_used, ERR_FORMAT, "17 of 16"}, {too_few_in_groups, ERR_FORMAT, "2 of 16 in 1 of 16 groups"}, {wrong_kernel, ERR_FORMAT, "conv is {4, 31, 1}"},
    {wrong_state, ERR_FORMAT, "in 3 groups"}, {wrong_dt, ERR_FORMAT, "dt: 16 columns where 8"}, {wrong_keys, ERR_FORMAT, "k: 16 columns where 32"}, {no_keys, ERR_FORMAT, "0 key"},
};

static void begin(void) {
    const float *ignored;
    lab_open(&l, 3);
    x32 = lab_input(&l, 32, &ignored);
    y16 = lab_input(&l, 16, &ignored);
    t = lab_tensor(&l, 32, 8, 1);
}

static void each_mistake_is_kept(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct err e = {0}, again = {0};
        const struct kernels *k;
        int64_t before = mem_live();
        begin();
        graph_layer(l.g, 7);
        assert_int_equal(mistakes[i].record(), NO_VAL);
        assert_true(graph_failed(l.g));
        int code = graph_check(l.g, &e);
        if (code != mistakes[i].code || !strstr(e.msg, mistakes[i].says) || strncmp(e.msg, "layer 7: ", 9) != 0 || strchr(e.msg, '\n'))
            fail_msg("%d \"%s\" should be %d and say \"%s\"", code, e.msg, mistakes[i].code, mistakes[i].says);
        /* what comes after is harmless and does not replace it */
        assert_int_equal(op_linear(l.g, x32, NULL, (struct linear){.w = t}), NO_VAL);
        assert_int_equal(op_slice(l.g, x32, 0, 1), NO_VAL);
        assert_int_equal(op_act(l.g, NO_VAL, ACT_SILU), NO_VAL);
        graph_output(l.g, NO_VAL);
        assert_int_equal(kernels_get(&k, NULL, &again), 0);
        assert_int_equal(graph_plan(l.g, (struct plan_options){4, 4, 1, DT_F32, k, false}, &again), mistakes[i].code);
        assert_string_equal(again.msg, e.msg);
        lab_close(&l);
        assert_int_equal(mem_live(), before);
    }
}

static void outputs(void **state) {
    (void)state;
    struct err e = {0};
    const struct kernels *k;
    assert_int_equal(kernels_get(&k, NULL, &e), 0);
    begin();
    assert_int_equal(graph_plan(l.g, (struct plan_options){4, 4, 1, DT_F32, k, false}, &e), ERR_INTERNAL); /* none recorded */
    lab_close(&l);
    begin();
    graph_output(l.g, x32); /* a row for every token, not for every logit */
    assert_int_equal(graph_check(l.g, &e), ERR_INTERNAL);
    lab_close(&l);
}

static void types_of_pages(void **state) {
    (void)state;
    static const struct {
        enum dtype type;
        int code;
    } cases[] = {{DT_F32, 0}, {DT_F16, 0}, {DT_BF16, 0}, {DT_Q8_0, ERR_UNSUPPORTED}, {DT_Q4_0, ERR_UNSUPPORTED}, {DT_I8, ERR_UNSUPPORTED}, {DT_LIMIT, ERR_UNSUPPORTED}, {(enum dtype)1000, ERR_UNSUPPORTED}};
    const struct kernels *k;
    struct err e = {0};
    assert_int_equal(kernels_get(&k, NULL, &e), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        val v = op_attention(l.g, x32, y16, y16, (struct attention){.n_head = 4, .n_head_kv = 2, .head_k = 8, .head_v = 8, .scale = 1}); /* heads of 8 are no blocks of 32 */
        graph_output(l.g, op_rows(l.g, v));
        assert_int_equal(graph_plan(l.g, (struct plan_options){4, 4, 1, cases[i].type, k, false}, &e), cases[i].code);
        if (cases[i].code == 0) assert_int_equal(graph_kv_page_bytes(l.g, 0), (size_t)KV_PAGE * 2 * 2 * 8 * (cases[i].type == DT_F32 ? 4 : 2));
        lab_close(&l);
    }
}

static void what_a_graph_knows(void **state) {
    (void)state;
    struct err e = {0};
    const struct kernels *k;
    assert_int_equal(kernels_get(&k, NULL, &e), 0);
    begin();
    const struct tensor *norm = lab_tensor(&l, 32, 1, 1), *bias = lab_tensor(&l, 8, 1, 1), *other = lab_tensor(&l, 8, 1, 1);
    struct norm n = {.weight = norm, .eps = 1e-5f};
    val a = op_attention(l.g, x32, y16, y16, (struct attention){.n_head = 4, .n_head_kv = 2, .head_k = 8, .head_v = 8, .scale = 1, .window = 100});
    graph_output(l.g, op_linear(l.g, op_rows(l.g, a), &n, (struct linear){.w = t, .b = bias}));
    assert_true(graph_uses(l.g, t) && graph_uses(l.g, norm) && graph_uses(l.g, bias));
    assert_false(graph_uses(l.g, other));
    assert_int_equal(graph_plan(l.g, (struct plan_options){16, 4, 3, DT_F16, k, false}, &e), 0);
    assert_int_equal(graph_kv_groups(l.g), 1);
    assert_int_equal(graph_kv_window(l.g, 0), 100);
    assert_int_equal(graph_state_floats(l.g), 0);
    assert_true(graph_buffer_bytes(l.g) >= sizeof(float) * (16 * (32 + 16 + 32) + 4 * (32 + 8)));
    struct cost one = graph_cost(l.g, 1, 1, 50), many = graph_cost(l.g, 10, 1, 500), none = graph_cost(l.g, 10, 0, 0);
    double rows = (32 + 16) * 4; /* of the two tables of inputs, for each token */
    assert_true(fabs(one.weight_bytes - (rows + 32 * 8 * 4)) < 1e-6);
    assert_true(fabs(one.kv_bytes - 51 * 2 * (8 + 8) * 2) < 1e-6);
    assert_true(fabs(cost_ops(&one) - (2 * 32 * 8 + 2 * 51 * 4 * (8 + 8))) < 1e-6);
    assert_true(fabs(many.kv_bytes - 109 * 2 * (8 + 8) * 2) < 1e-6); /* the windows of ten rows */
    assert_true(fabs(cost_ops(&many) - (2 * 32 * 8 + 10 * 2 * 100 * 4 * (8 + 8))) < 1e-6);
    assert_true(fabs(none.weight_bytes - 10 * rows) < 1e-6); /* no logits wanted: the matrix is not read */
    lab_close(&l);
}

/* Every allocation of recording and planning fails once: the graph says so, and nothing leaks. */
static void out_of_memory(void **state) {
    (void)state;
    const struct kernels *k;
    struct err e = {0};
    assert_int_equal(kernels_get(&k, NULL, &e), 0);
    int64_t before = mem_live();
    for (int64_t fail = 1;; fail++) {
        struct graph *g;
        struct lab tensors = {.rng = rng_new(1, 1)};
        const struct tensor *table = lab_tensor(&tensors, 32, 9, 1), *half = lab_tensor_of(&tensors, DT_F16, 32, 1, 1, 0, 1);
        mem_fail_after(fail);
        int code = graph_new(&g, &e);
        if (code == 0) {
            val v = op_embed(g, table, 1);
            for (int i = 0; i < 200; i++) { /* past the first room of every growing array */
                struct norm n = {.weight = half, .eps = 1};
                graph_layer(g, i);
                val table_of_turns = op_rope_table(g, (struct rope){.n_rot = 8, .theta = 100, .freq_scale = 1});
                v = op_norm(g, op_rope(g, v, table_of_turns, ROPE_NEOX, 8, 0), n);
                v = op_attention(g, v, v, v, (struct attention){.n_head = 4, .n_head_kv = 4, .head_k = 8, .head_v = 8, .scale = 1, .alibi = 8});
                if (graph_failed(g)) break;
            }
            graph_output(g, op_rows(g, v));
            code = graph_plan(g, (struct plan_options){4, 4, 2, DT_F32, k, false}, &e);
        }
        bool failed = mem_has_failed();
        mem_fail_after(0);
        graph_free(g);
        for (int i = 0; i < tensors.n_tensors; i++) free((void *)(uintptr_t)tensors.tensors[i].data);
        assert_int_equal(mem_live(), before);
        assert_int_equal(code, failed ? ERR_MEMORY : 0);
        if (!failed) {
            assert_true(fail > 10);
            break;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_kept), cmocka_unit_test(outputs), cmocka_unit_test(types_of_pages), cmocka_unit_test(what_a_graph_knows), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
