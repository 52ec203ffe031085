/* fuzz_schema.c: any bytes as a JSON Schema, and after a NUL byte a text that is read under its masks; see grammar_rig.h. */
#include "grammar_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rig_run(grammar_parse_schema, data, size);
    return 0;
}
