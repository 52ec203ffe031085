/* embedded.h: the small default model that is linked into the library: the bytes of models/ember/ember.gguf, read-only, aligned
 * to 64. Always there; any thread. Opened by gguf_open_memory. */
#ifndef HEARTH_EMBEDDED_H
#define HEARTH_EMBEDDED_H

#include <stddef.h>

extern const unsigned char hearth_embedded_model[], hearth_embedded_model_end[];

static inline size_t embedded_model_size(void) { return (size_t)(hearth_embedded_model_end - hearth_embedded_model); }

#endif
