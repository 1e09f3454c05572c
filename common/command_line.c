#include "command_line.h"

#include <string.h>

// Backslashes count only before a quote: learn.microsoft.com, "Parsing C command-line arguments".
static size_t backslash_count(const char *text)
{
    return strspn(text, "\\");
}

// Writes one argument between quotes and returns its end. At most twice its length, and two.
static uint8_t *write_quoted(uint8_t *to, const char *argument)
{
    *to++ = '"';
    while (*argument != '\0') {
        size_t backslashes = backslash_count(argument);
        char after = argument[backslashes];
        // The quote at the end counts, too.
        size_t written = after == '"' || after == '\0' ? 2 * backslashes : backslashes;

        memset(to, '\\', written);
        to += written;
        argument += backslashes;
        if (after == '"')
            *to++ = '\\';
        if (after != '\0') {
            *to++ = (uint8_t)after;
            argument++;
        }
    }
    *to++ = '"';
    return to;
}

int command_line_append(struct buffer *line, const char *argument)
{
    bool is_first = buffer_size(line) == 0;
    bool is_plain = *argument != '\0' && strpbrk(argument, " \t\n\v\"") == NULL;
    size_t length = strlen(argument);
    uint8_t *start;
    uint8_t *to;

    // Up to the first quote the program's path is taken as it is.
    if (is_first && strchr(argument, '"') != NULL)
        return -EINVAL;
    start = buffer_reserve(line, 2 * length + 3);
    if (start == NULL)
        return -ENOMEM;
    to = start;
    if (!is_first)
        *to++ = ' ';
    if (is_plain) {
        memcpy(to, argument, length);
        to += length;
    } else if (is_first) {
        *to++ = '"';
        memcpy(to, argument, length);
        to += length;
        *to++ = '"';
    } else {
        to = write_quoted(to, argument);
    }
    buffer_commit(line, (size_t)(to - start));
    return 0;
}
