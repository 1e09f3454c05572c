// command_line.h - arguments as the one text that Windows hands to a program.
// Floor 0.
//
// Pure, so it is compiled and tested everywhere; only process_win32.c has a use for it.
#ifndef TROUPE_COMMAND_LINE_H
#define TROUPE_COMMAND_LINE_H

#include "base.h"
#include "buffer.h"

// Appends an argument (after a blank, unless it is the first), quoted so that CommandLineToArgvW
// and the C runtime give back exactly the same bytes. The first must be the program's path, where
// other rules hold: it cannot contain a quote (-EINVAL). No end mark is written. 0 or -ENOMEM.
int command_line_append(struct buffer *line, const char *argument);

#endif
