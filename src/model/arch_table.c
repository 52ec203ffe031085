/* arch_table.c: every architecture, one row each. An architecture of its own file exports its row; it is added here and
 * nowhere else. */
#include "model/arch.h"

#define ARCHS(X)                                                                                                                              \
    X(llama) X(mistral3) X(qwen2) X(qwen2moe) X(qwen3) X(qwen3moe) X(gemma) X(gemma2) X(gemma3) X(phi2) X(phi3) X(phimoe) X(gpt2) X(gptneox) \
    X(starcoder) X(starcoder2) X(stablelm) X(falcon) X(mpt) X(bloom) X(olmo2) X(olmoe) X(granite) X(granitemoe) X(command_r) X(cohere2) X(smollm3)        \
    X(glm4) X(glm4moe) X(exaone4) X(nemotron) X(deepseek2) X(gpt_oss) X(ernie4_5) X(ernie4_5_moe) X(hunyuan_dense) X(seed_oss) X(arcee)      \
    X(internlm2) X(minicpm) X(mamba2) X(lfm2) X(qwen35) X(qwen35moe)                                                                \
    X(bert) X(nomic_bert) X(modern_bert) X(jina_bert_v2)

#define DECLARE(id) extern const struct arch arch_##id;
#define ROW(id) &arch_##id,

ARCHS(DECLARE)
static const struct arch *const table[] = {ARCHS(ROW)};
enum { ARCH_COUNT = sizeof table / sizeof *table };

const struct arch *arch_find(struct slice name) {
    for (int i = 0; i < ARCH_COUNT; i++)
        if (slice_is(name, table[i]->name)) return table[i];
    return NULL;
}

const char *model_arch_name(int i) { return i < 0 || i >= ARCH_COUNT ? NULL : table[i]->name; }
const char *model_arch_description(int i) { return i < 0 || i >= ARCH_COUNT ? NULL : table[i]->description; }
