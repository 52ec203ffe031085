/* lora.h: adapters with random numbers, always the same ones, for tests: for every matrix of a model that an adapter can act on. */
#ifndef HEARTH_TESTS_LORA_H
#define HEARTH_TESTS_LORA_H

#include "gguf/gguf.h"

/* Whether adapters can act on a tensor of a tiny model. */
bool lora_acts_on(const struct tensor *t);

/* Writes an adapter for the matrices of `model` to a GGUF file: alpha is its rank, so that it acts as its numbers say. strength: how much of a matrix its
 * addition is, about. invocation NULL: an ordinary adapter. Ends the test program when it cannot. */
void lora_write(const char *path, const struct gguf *model, uint64_t seed, int rank, float strength, enum dtype type, const int32_t *invocation, int n_invocation);

#endif
