/* fuzz_adapter.c: spoilt adapters, held against a tiny model and, when they fit, used in a step.
 *
 * An input that begins with a G is a GGUF file as it is; with a {, the configuration beside a good adapter of PEFT or MLX; with an m, the name of a
 * module. Any other edits a good GGUF adapter: after the first byte every four are a place (two bytes), what is done there (set, add, or put four bytes of a list
 * of awkward numbers) and a value. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os.h"
#include "engine/engine.h"
#include "model/adapter_file.h"
#include "support/lora.h"
#include "support/tiny.h"

#define CHECK(x) \
    do { \
        if (!(x)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Made once; what they hold lives as long as the program. */
static struct model *model;
static struct pool *pool;
static struct engine *engine;
static struct buf good; /* a GGUF adapter */
static char folder[] = "/tmp/hearth-fuzz-adapter-XXXXXX", config[80];

static void in_folder(char out[80], const char *name) { (void)snprintf(out, 80, "%s/%s", folder, name); }

static void clear(void) {
    static const char *const made[] = {"adapter.gguf", "adapter_config.json", "adapter_model.safetensors", "adapters.safetensors"};
    char path[80];
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        in_folder(path, made[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

static void begin(void) {
    static struct tiny tiny;
    static const float numbers[3 * 64];
    static const struct tensor peft[] = {{"base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight", DT_F32, 2, {32, 3, 1, 1}, numbers, 384},
                                         {"base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight", DT_F32, 2, {3, 64, 1, 1}, numbers, 768}};
    static const struct tensor mlx[] = {{"model.layers.0.self_attn.v_proj.lora_a", DT_F32, 2, {3, 32, 1, 1}, numbers, 384}, {"model.layers.0.self_attn.v_proj.lora_b", DT_F32, 2, {64, 3, 1, 1}, numbers, 768}};
    struct gguf *file;
    struct err e;
    char path[80];
    log_set_level(LOG_ERROR);
    tiny_make(&tiny, TINY_LLAMA, NULL);
    CHECK(gguf_open_memory(&file, tiny.file.data, tiny.file.len, "tiny.gguf", &e) == 0);
    CHECK(model_open_file(&model, file, &e) == 0 && pool_new(&pool, 1, &e) == 0);
    CHECK(engine_new(&engine, model, pool, (struct engine_options){.n_ctx = 16}, &e) == 0);
    CHECK(mkdtemp(folder));
    (void)atexit(clear);
    in_folder(config, "adapter_config.json");
    in_folder(path, "adapter_model.safetensors");
    CHECK(safetensors_write(path, peft, 2, NULL, 0, &e) == 0);
    in_folder(path, "adapters.safetensors");
    CHECK(safetensors_write(path, mlx, 2, NULL, 0, &e) == 0);
    in_folder(path, "adapter.gguf");
    lora_write(path, model->file, 1, 3, 0.1f, DT_F16, (int32_t[]){1, 2, 3}, 3);
    CHECK(os_read_file(path, 1 << 24, &good, &e) == 0);
}

static void edit(char *file, size_t size, const uint8_t *e) {
    static const uint32_t awkward[] = {0, 1, 2, 3, 31, 33, 255, 4096, 65535, 65536, 1u << 20, 1u << 24, 0x3fffffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x7f800000, 0x00000080, 0xff7fffff, 0x7fc00000};
    size_t at = (size_t)(e[0] | e[1] << 8) % size;
    uint32_t v = awkward[e[3] % (sizeof awkward / sizeof *awkward)];
    if (e[2] % 4 == 0) file[at] = (char)e[3];
    else if (e[2] % 4 == 1) file[at] = (char)(file[at] + (char)e[3]);
    else memcpy(file + at, &v, size - at < 4 ? size - at : 4);
}

static int try_gguf(const void *data, size_t size, struct adapter **a, struct err *e) {
    struct gguf *g;
    int code = gguf_open_memory(&g, data, size, "fuzz.gguf", e);
    return code ? code : adapter_open_gguf(a, g, model, 1, e);
}

static int use(const struct adapter *a, struct err *e) {
    struct seq *s = NULL;
    int id, begins = adapter_start(a, (int32_t[]){1, 2, 3, 1, 2, 3, 4}, 7), code = engine_adapter_add(engine, a, &id, e);
    if (code) return code;
    CHECK(begins >= -1 && begins < 7);
    if ((code = seq_new(&s, engine, e)) == 0) code = seq_set_adapter(s, id, begins < 0 ? 0 : begins, e);
    if (code == 0) code = seq_feed(s, (int32_t[]){1, 2, 3, 1, 2, 3, 4}, 7, WANT_ALL, e);
    if (code == 0) code = engine_step(engine, e);
    seq_free(s);
    CHECK(engine_adapter_remove(engine, id, e) == 0);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct adapter *a = NULL;
    struct err e = {0};
    int code = 0;
    char *copy = NULL;
    if (!model) begin();
    if (size == 0) return 0;
    if (data[0] == 'm') {
        char name[128];
        (void)adapter_tensor_name((struct slice){(const char *)data + 1, size - 1}, name);
        return 0;
    }
    if (data[0] == 'G') {
        CHECK(copy = malloc(size)); /* of the exact size, so that a sanitizer sees a read past it */
        memcpy(copy, data, size);
        code = try_gguf(copy, size, &a, &e);
    } else if (data[0] == '{') {
        CHECK(os_write_file(config, data, size, &e) == 0);
        code = adapter_open(&a, folder, model, 1, &e);
    } else {
        CHECK(copy = malloc(good.len));
        memcpy(copy, good.data, good.len);
        for (size_t at = 1; at + 4 <= size; at += 4) edit(copy, good.len, data + at);
        code = try_gguf(copy, good.len, &a, &e);
    }
    CHECK((code == 0) == (a != NULL));
    if (code == 0) code = use(a, &e);
    CHECK(code == 0 || (e.code == code && code != ERR_INTERNAL && !strchr(e.msg, '\n') && strlen(e.msg) > 10));
    adapter_close(a);
    free(copy);
    return 0;
}
