/* tok_pre.c: the table of pre-tokenizers: how each family of byte-level BPE cuts a text into words before its merges.
 *
 * One row per way of cutting: the values of tokenizer.ggml.pre that mean it, flags, and stages that run one after the other, each over
 * the words that the one before left: what a stage's regular expression matches becomes a word, and so does what lies
 * between two matches. The expressions are the models' own (`tokenizer.json`), in PCRE2's syntax; "\s" and "\S" are read as
 * Unicode's White_Space (tok_split.c). Where one is written otherwise than its authors did, it says why.
 *
 * To add a pre-tokenizer, add a name or a row, and a line to tests/oracle/vocab.py.
 */
#include <string.h>

#include "text/tok_internal.h"

#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
/* GPT-4's (cl100k) and its descendants differ in how many digits make a word. */
#define CL100K(digits) CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
/* GPT-4o's (o200k): words end where lower case turns to upper. */
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(upper, lower, suffix) "[^\\r\\n\\p{L}\\p{N}]?" upper "*" lower "+" suffix "|[^\\r\\n\\p{L}\\p{N}]?" upper "+" lower "*" suffix
#define O200K(digits, suffix) CASED(UPPER, LOWER, suffix) "|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
/* Kimi's is the same without Han characters in words: the intersection [...&&[^\p{Han}]] of the original is written as what it leaves out. */
#define NOT_HAN_UPPER "[^\\p{Ll}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\p{sc:Han}]"
#define NOT_HAN_LOWER "[^\\p{Lu}\\p{Lt}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\p{sc:Han}]"
#define BLOOM " ?[^(\\s|.,!?…。，、।۔،)]+"
#define ASCII_PUNCT_WORD "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
#define DEEPSEEK3 ASCII_PUNCT_WORD "| ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES
#define KANJI_KANA \
    "[一-龥぀-ゟ゠-ヿ]"
#define KANJI_HANGUL \
    "[一-龥ࠀ-一가-퟿]"
#define ASIAN_SCRIPTS \
    "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]"
#define YOUTU_SCRIPTS \
    "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+"
#define DEEPSEEK_LETTERS \
    "[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώ" \
    "ᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏" \
    "𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]"
#define DEEPSEEK_PUNCT \
    "[!-/:-~！-／：-～‘-‟　-。]"

#define RE(text) {STAGE_REGEX, text}
#define LAST {STAGE_END, NULL}

static const struct pre_row rows[] = {
    {"default", 0, {RE("[\\p{P}\\$\\+<=>\\^~\\|]+"), RE(GPT2), RE("\\p{N}+"), RE("[0-9][0-9][0-9]"), LAST}},
    {"gpt-2 phi-2 jina-es jina-de jina-v1-en jina-v2-es jina-v2-de jina-v2-code roberta-bpe modern-bert gigachat a.x-4.0 mellum "
     "exaone4 mpt olmo jais trillion granite-docling", 0, {RE(GPT2), LAST}},
    {"starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", 0, {RE("\\p{N}"), RE(GPT2), LAST}},
    {"falcon", 0, {RE("[\\p{P}\\$\\+<=>\\^~\\|`]+"), RE(GPT2), RE("[0-9][0-9][0-9]"), LAST}},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", PRE_IGNORE_MERGES | PRE_ADD_BOS,
     {RE(CL100K("\\p{N}{1,3}")), LAST}},
    {"dbrx smaug-bpe", 0, {RE(CL100K("\\p{N}{1,3}")), LAST}},
    {"glm4 chatglm-bpe", PRE_NO_BOS, {RE(CL100K("\\p{N}{1,3}")), LAST}},
    {"qwen2 deepseek-r1-qwen kormo f2llmv2 stablelm2 hunyuan solar-open megrez grok-2", 0, {RE(CL100K("\\p{N}")), LAST}},
    {"qwen35", 0,
     {RE(CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES), LAST}},
    {"ufakzeka", 0, {RE("[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES), LAST}},
    {"laguna", 0, {RE("[^\\n]+|[\\n]+"), RE(CL100K("\\p{N}")), LAST}},
    {"minicpm5", PRE_IGNORE_MERGES, {RE("\\p{N}{1,3}"), RE(CL100K("\\p{N}+")), LAST}},
    {"seed-coder", 0,
     {RE(CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" SPACES), LAST}},
    {"bailingmoe bailingmoe2 llada-moe", 0,
     {RE("'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|"
         "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"), LAST}},
    /* Words of several words. All quantifiers of the group are possessive here, since nothing follows that could ask for less. */
    {"exaone-moe", 0,
     {RE(CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*+(?: \\p{L}\\p{M}*+)*+)++|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|"
         "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"), LAST}},
    /* Spaces in pieces of powers of two. The look behind "\s*[\r\n]+" is ours: in the middle of a run that was cut before there is no
     * line end left to find, and looking for it each time takes quadratic time. */
    {"jais-2", 0,
     {RE(CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|(?<![^\\S\\r\\n])\\s*[\\r\\n]+|"
         "\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|"
         "\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}"), LAST}},
    {"gpt-4o llama4 kanana2 talkie minimax-m2", 0, {RE(O200K("\\p{N}{1,3}", CONTRACTION "?")), LAST}},
    {"granite-embed-multi-97m", PRE_IGNORE_MERGES, {RE(O200K("\\p{N}{1,3}", CONTRACTION "?")), LAST}},
    {"tekken", PRE_IGNORE_MERGES | PRE_ADD_BOS, {RE(O200K("\\p{N}", "")), LAST}},
    {"tiny_aya cohere2moe", 0, {{STAGE_DIGITS_WORD, NULL}, RE(O200K("\\p{N}{1,3}", CONTRACTION "?")), LAST}},
    {"youtu", PRE_IGNORE_MERGES, {RE(YOUTU_SCRIPTS), RE(O200K("\\p{N}", CONTRACTION "?")), LAST}},
    {"kimi-k2", 0,
     {RE("[\\p{sc:Han}]+|" CASED(NOT_HAN_UPPER, NOT_HAN_LOWER, CONTRACTION "?") "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES),
      LAST}},
    {"deepseek-v3 hunyuan-dense joyai-llm hy_v4", 0, {RE("\\p{N}{1,3}"), RE(KANJI_KANA "+"), RE(DEEPSEEK3), LAST}},
    {"spark2_5", 0,
     {RE("\\p{N}{1,3}"), RE(KANJI_KANA "+"), RE(ASCII_PUNCT_WORD "| ?[\\p{P}\\p{S}]+|[\\r\\n]|\\s+(?!\\S)|\\s+"), RE("\\p{N}"), LAST}},
    {"afmoe", 0, {{STAGE_DIGITS, NULL}, RE(ASIAN_SCRIPTS "+"), RE(DEEPSEEK3), LAST}},
    {"deepseek-coder", 0,
     {RE("[\\r\\n]"), RE("\\s?\\p{L}+"), RE("\\s?\\p{P}+"), RE(KANJI_HANGUL "+"), RE("\\p{N}"), LAST}},
    /* The fourth was "\s+$": it may only start where a run of spaces does, or a long run not at the end takes quadratic time. */
    {"deepseek-llm", 0,
     {RE("[\\r\\n]"), RE("\\s?" DEEPSEEK_LETTERS "+"), RE("\\s?" DEEPSEEK_PUNCT "+"), RE("(?<!\\s)\\s++$"), RE(KANJI_HANGUL "+"),
      RE("\\p{N}+"), LAST}},
    {"bloom poro-chat gpt3-finnish", 0, {RE(BLOOM), LAST}},
    {"viking", 0, {RE(BLOOM), RE("\\p{N}"), LAST}},
    {"superbpe", 0, {RE("\\p{N}+"), {STAGE_DIGITS_CUT, NULL}, LAST}},
    {"chameleon", PRE_ADD_BOS,
     {RE("<sentinel:[0-9]+>"), RE("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"), RE("([\\t\\n]|    |  )"), RE("\\p{N}"),
      RE("[\\p{P}!-/:-@\\[-`{-~]"), RE(GPT2), LAST}},
    {"gemma4 granite-embed-multi-311m", PRE_RAW | PRE_NEWLINES | PRE_FORCE_BOS, {RE("[^\\n]+|[\\n]+"), LAST}},
    {"sarvam-moe", PRE_RAW, {RE("[^\\n]+|[\\n]+"), LAST}},
};

#define ROWS (sizeof rows / sizeof *rows)

const struct pre_row *pre_find(struct slice name) {
    if (!name.n) name = SLICE("default");
    for (size_t i = 0; i < ROWS; i++)
        for (const char *p = rows[i].names; *p;) {
            size_t n = strcspn(p, " ");
            if (n == name.n && !memcmp(p, name.p, n)) return &rows[i];
            p += n + (p[n] == ' ');
        }
    return NULL;
}

const char *tokenizer_pre_name(size_t i) { return i < ROWS ? rows[i].names : NULL; }
