// config_error.h - how a wrong configuration is told.
// Floor 0. A part of config.h.
#ifndef TROUPE_CONFIG_ERROR_H
#define TROUPE_CONFIG_ERROR_H

#include "config.h"

enum { CONFIG_QUOTE_MAX = 72 }; // room for something wrong in a message, with its end

// Something from outside for a message: printable, cut when long; returns out.
const char *config_quote(struct bytes text, char out[CONFIG_QUOTE_MAX]);

// Writes a message behind origin (a file, an argument) and line (0 = none). -EINVAL.
int config_fail(struct config_error *error, const char *origin, unsigned long line,
                const char *format, ...) BASE_PRINTF(4, 5);

#endif
