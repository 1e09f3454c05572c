#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config_keys.h"

enum { ORIGIN_MAX = 200 }; // bytes of an origin that a message shows

const char *config_quote(struct bytes text, char out[CONFIG_QUOTE_MAX])
{
    static const char cut[] = "...";
    size_t size = 0;

    while (text.size > 0) {
        size_t length = text_printable((const char *)text.data, text.size);
        const char *from = length == 0 ? "?" : (const char *)text.data;

        if (length == 0)
            length = 1;
        if (size + length + sizeof(cut) > CONFIG_QUOTE_MAX) {
            memcpy(out + size, cut, sizeof(cut));
            return out;
        }
        memcpy(out + size, from, length);
        size += length;
        text.data += length;
        text.size -= length;
    }
    out[size] = '\0';
    return out;
}

int config_fail(struct config_error *error, const char *origin, unsigned long line,
                const char *format, ...)
{
    char number[24] = "";
    size_t length = strlen(origin);
    size_t skip = length > ORIGIN_MAX ? length - ORIGIN_MAX : 0; // the end of a long path says more
    va_list arguments;
    int at;

    if (line > 0)
        snprintf(number, sizeof(number), ":%lu", line);
    at = snprintf(error->text, sizeof(error->text), "%s%s%s: ", skip > 0 ? "..." : "",
                  origin + skip, number);
    va_start(arguments, format);
    vsnprintf(error->text + at, sizeof(error->text) - (size_t)at, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

int config_refuse(struct config_error *error, const char *origin, unsigned long line,
                  const struct config_key *key, struct bytes value, const char *why)
{
    char quoted[CONFIG_QUOTE_MAX];
    char allowed[CONFIG_ALLOWED_MAX];

    return config_fail(error, origin, line, "%s.%s: '%s' is not allowed: %s%s%s%s", key->section,
                       key->name, config_quote(value, quoted), config_key_allowed(key, allowed),
                       why != NULL ? " (" : "", why != NULL ? why : "", why != NULL ? ")" : "");
}

int config_refuse_key(struct config_error *error, const char *origin, unsigned long line,
                      struct bytes full_name)
{
    const struct config_key *near = config_key_near(full_name);
    char quoted[CONFIG_QUOTE_MAX];

    config_quote(full_name, quoted);
    if (near == NULL)
        return config_fail(error, origin, line, "unknown key '%s': --help lists all that there are",
                           quoted);
    return config_fail(error, origin, line, "unknown key '%s': did you mean '%s.%s'?", quoted,
                       near->section, near->name);
}
