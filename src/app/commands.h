/* commands.h: every subcommand, one row each: cmd_NAME.c exports its row, main.c lists it. */
#ifndef HEARTH_COMMANDS_H
#define HEARTH_COMMANDS_H

#include "app/args.h"

extern const struct command cmd_run, cmd_chat, cmd_tokenize, cmd_inspect, cmd_template, cmd_perplexity, cmd_bench, cmd_logits, cmd_embed, cmd_quantize, cmd_ledger, cmd_serve;

#endif
