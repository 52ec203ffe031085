/* tables.c: prints the tables of README.md from those that the code works by, as Markdown. `make docs` puts them in their place.
 */
#include <stdbool.h>
#include <stdio.h>

#include "model/model.h"
#include "model/quantize.h"
#include "tensor/dtype.h"

static void architectures(void) {
    puts("| architecture (`general.architecture`) | models |\n| --- | --- |");
    for (int i = 0; model_arch_name(i); i++) printf("| `%s` | %s |\n", model_arch_name(i), model_arch_description(i));
}

/* Some formats have an encoder for other uses and are no target: those a user cannot have written. */
static bool written(unsigned type) {
    const char *name;
    for (int i = 0; (name = quant_target_name(i)); i++)
        if ((unsigned)quant_target_base(quant_target_find(name)) == type) return true;
    return false;
}

static void formats(void) {
    puts("| format | bits per weight | read | written by `hearth quantize` |\n| --- | --- | --- | --- |");
    for (unsigned t = 0; t < DT_LIMIT; t++) {
        const struct dtype_info *d = dtype_info(t);
        if (!d || !d->decode) continue; /* integers are not weights */
        printf("| %s | %.4g | yes | %s |\n", d->name, 8.0 * d->bytes / d->block, written(t) ? "yes" : "");
    }
}

int main(void) {
    puts("### Architectures\n");
    architectures();
    puts("\n### Tensor formats\n");
    formats();
    return ferror(stdout) != 0;
}
