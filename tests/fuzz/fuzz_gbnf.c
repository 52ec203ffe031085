/* fuzz_gbnf.c: any bytes as a GBNF grammar, and after a NUL byte a text that is read under its masks; see grammar_rig.h. */
#include "grammar_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rig_run(grammar_parse_gbnf, data, size);
    return 0;
}
