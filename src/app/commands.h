/* commands.h: every subcommand, one row each: cmd_NAME.c exports its row, main.c lists it. */
#ifndef HEARTH_COMMANDS_H
#define HEARTH_COMMANDS_H

#include "app/args.h"

extern const struct command cmd_run, cmd_chat, cmd_tokenize, cmd_template, cmd_logits, cmd_quantize;

#endif
