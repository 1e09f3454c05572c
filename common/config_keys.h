// config_keys.h - the one table of configuration keys: texts in, values of struct config out.
// Floor 0. A part of config.h.
#ifndef TROUPE_CONFIG_KEYS_H
#define TROUPE_CONFIG_KEYS_H

#include "config.h"

enum {
    CONFIG_QUOTE_MAX = 72,    // room for something wrong in a message, with its end
    CONFIG_KEYS_MAX = 32,     // most keys the table may have
    CONFIG_ALLOWED_MAX = 160, // room for what a key allows, with its end
    CONFIG_VALUE_MAX = 2 * CONFIG_TEXT_MAX + 3, // room for a value as YAML, with its end
};

enum config_type {
    CONFIG_TEXT,           // printable, min to max bytes
    CONFIG_NAME,           // letters, digits, "-", "_", min to max bytes
    CONFIG_NUMBER,         // decimal, min to max
    CONFIG_NUMBER_OR_AUTO, // the same or "auto"
    CONFIG_LEVEL,          // of the log
    CONFIG_ADDRESS,        // "host:port"
    CONFIG_ADDRESS_OR_OFF, // the same or "off"
};

struct config_key {
    const char *section;
    const char *name;
    enum config_type type;
    size_t offset;        // of the value in struct config
    size_t switch_offset; // CONFIG_ADDRESS_OR_OFF: of its bool
    uint32_t min;
    uint32_t max;
    const char *standard; // the default, as it would be written
    const char *unit;     // "ms", "bytes" or ""
    const char *help;
};

// The table, grouped by section; count in out_count.
const struct config_key *config_keys(size_t *out_count);

// The key of this section and name, or NULL. Neither text needs an end.
const struct config_key *config_key_find(struct bytes section, struct bytes name);

// The table's text of a section's name, or NULL when there is no such section.
const char *config_section_find(struct bytes section);

// The key whose "section.name" is next to this one, or NULL when none is near.
const struct config_key *config_key_near(struct bytes full_name);

// Parses text into the key's place in config. 0, or -EINVAL with a static text in out_why (NULL
// when there is nothing to say beyond what is allowed).
int config_key_parse(const struct config_key *key, struct config *config, struct bytes text,
                     const char **out_why);

// What the key allows, with its unit: "auto, or 1 to 64"; returns out.
const char *config_key_allowed(const struct config_key *key, char out[CONFIG_ALLOWED_MAX]);

// The value in config as YAML that reads back to the same; returns out.
const char *config_key_value(const struct config_key *key, const struct config *config,
                             char out[CONFIG_VALUE_MAX]);

// How a wrong configuration is told: config_error.c.

// Something from outside for a message: printable, cut when long; returns out.
const char *config_quote(struct bytes text, char out[CONFIG_QUOTE_MAX]);

// Writes a message behind origin (a file, an argument) and line (0 = none). -EINVAL.
int config_fail(struct config_error *error, const char *origin, unsigned long line,
                const char *format, ...) BASE_PRINTF(4, 5);

// Writes "KEY: 'VALUE' is not allowed: ..." behind origin and line (0 = none). -EINVAL.
int config_refuse(struct config_error *error, const char *origin, unsigned long line,
                  const struct config_key *key, struct bytes value, const char *why);

// Writes "unknown key 'KEY': did you mean ..." in the same way. -EINVAL.
int config_refuse_key(struct config_error *error, const char *origin, unsigned long line,
                      struct bytes full_name);

#endif
