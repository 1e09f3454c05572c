#include "report.h"

#include <stdio.h>
#include <string.h>

// Moves *text behind `prefix` if it begins with it.
static bool skip(const char **text, const char *prefix)
{
    size_t size = strlen(prefix);

    if (strncmp(*text, prefix, size) != 0)
        return false;
    *text += size;
    return true;
}

// Moves *text behind a decimal number.
static bool skip_number(const char **text, uint64_t max, uint64_t *out_number)
{
    const char *at = *text;
    uint64_t number = 0;

    if (*at < '0' || *at > '9')
        return false;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');

        if (number > (max - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *text = at;
    *out_number = number;
    return true;
}

static void copy(struct report *report, const char *text)
{
    size_t size = strlen(text);

    if (size >= sizeof(report->text))
        size = sizeof(report->text) - 1;
    memcpy(report->text, text, size);
    report->text[size] = '\0';
}

static bool parse_ready(struct report *report, const char *text)
{
    report->kind = REPORT_READY;
    if (*text == '\0')
        return true;
    if (!skip(&text, " listen=") || *text == '\0' || strlen(text) >= sizeof(report->text))
        return false;
    copy(report, text);
    return true;
}

static bool parse_hung(struct report *report, const char *text)
{
    uint64_t worker;

    report->kind = REPORT_HUNG;
    if (!skip(&text, "worker=") || !skip_number(&text, UINT32_MAX, &worker) ||
        !skip(&text, " pid=") || !skip_number(&text, UINT64_MAX, &report->process_id) ||
        !skip(&text, " why="))
        return false;
    report->worker = (uint32_t)worker;
    copy(report, text);
    return true;
}

void report_parse(struct report *out_report, const char *line)
{
    struct report report = {.kind = REPORT_NONE};
    bool good = true;

    if (skip(&line, "troupe: ")) {
        if (skip(&line, "ready")) {
            good = parse_ready(&report, line);
        } else if (skip(&line, "hung ")) {
            good = parse_hung(&report, line);
        } else if (skip(&line, "failed ") && *line != '\0') {
            report.kind = REPORT_FAILED;
            copy(&report, line);
        } else {
            good = false;
        }
    }
    *out_report = good ? report : (struct report){.kind = REPORT_BAD};
}
