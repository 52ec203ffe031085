/* tables.c: prints the tables of README.md from those that the code works by, as Markdown. `make docs` puts them in their place.
 */
#include <stdio.h>

#include "model/model.h"
#include "tensor/dtype.h"

static void architectures(void) {
    puts("| architecture (`general.architecture`) | models |\n| --- | --- |");
    for (int i = 0; model_arch_name(i); i++) printf("| `%s` | %s |\n", model_arch_name(i), model_arch_description(i));
}

static void formats(void) {
    puts("| format | bits per weight | read | written |\n| --- | --- | --- | --- |");
    for (unsigned t = 0; t < DT_LIMIT; t++) {
        const struct dtype_info *d = dtype_info(t);
        if (!d || !d->decode) continue; /* integers are not weights */
        printf("| %s | %.4g | yes | %s |\n", d->name, 8.0 * d->bytes / d->block, d->encode ? "yes" : "");
    }
}

int main(void) {
    puts("### Architectures\n");
    architectures();
    puts("\n### Tensor formats\n");
    formats();
    return ferror(stdout) != 0;
}
