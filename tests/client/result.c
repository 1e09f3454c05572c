#include "result.h"

#include <stdarg.h>
#include <stdio.h>

void result_add_error(struct result *result, enum result_error kind, const char *format, ...)
{
    va_list list;

    result->errors[kind]++;
    if (result->error_count++ > 0)
        return;
    va_start(list, format);
    vsnprintf(result->first_error, sizeof result->first_error, format, list);
    va_end(list);
}

const char *result_error_text(enum result_error error)
{
    static const char *const texts[RESULT_ERROR_KINDS] = {
        [RESULT_NOT_CONNECTED] = "not connected",
        [RESULT_CLOSED] = "closed early",
        [RESULT_FRAME] = "bad frame",
        [RESULT_BYTES] = "wrong bytes",
        [RESULT_EXTRA] = "reply too many",
        [RESULT_TIMEOUT] = "no progress",
        [RESULT_LOCAL] = "local trouble",
    };

    return texts[error];
}
