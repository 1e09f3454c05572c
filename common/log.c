#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "os.h"

// Set by main before threads start; only the descriptor changes later, on the first failed write,
// by whichever thread had it.
static struct {
    const char *program;
    enum log_level level;
    int opened; // what log_fini() closes
    atomic_int descriptor;
} logger = {
    .program = "troupe", .level = LOG_INFO, .opened = OS_LOG_STDERR, .descriptor = OS_LOG_STDERR};

// Room for one line: what does not fit is dropped, and `cut` says so.
struct line {
    char text[LOG_LINE_MAX];
    size_t size;
    bool cut;
};

static const char cut_mark[] = "...\n"; // the end of a line that was cut; room for it is kept

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of_month(unsigned year, unsigned month) // 0 is January
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month] + (month == 1 && is_leap(year) ? 1u : 0u);
}

// Appends printable text; whatever else comes out as "?".
static void line_add(struct line *line, const char *text, size_t size)
{
    while (size > 0 && !line->cut) {
        size_t length = text_printable(text, size);
        const char *from = length == 0 ? "?" : text;
        size_t room = sizeof(line->text) - sizeof(cut_mark) - line->size;

        if (length == 0)
            length = 1;
        if (length > room) {
            line->cut = true;
            return;
        }
        memcpy(line->text + line->size, from, length);
        line->size += length;
        text += length;
        size -= length;
    }
}

static void line_end(struct line *line)
{
    const char *end = line->cut ? cut_mark : "\n";
    size_t length = strlen(end);

    memcpy(line->text + line->size, end, length);
    line->size += length;
}

static void line_start(struct line *line, const char *level, const char *module)
{
    char time[LOG_TIME_MAX];
    char head[256];
    int length;

    line->size = 0;
    line->cut = false;
    length =
        snprintf(head, sizeof(head), "%s %.64s %s %.64s: ", log_time_text(os_now_utc_ms(), time),
                 logger.program, level, module);
    line_add(line, head, (size_t)length);
}

static void line_write(const struct line *line)
{
    int descriptor = atomic_load(&logger.descriptor);
    int error = os_log_write(descriptor, line->text, line->size);
    struct line note;
    char text[128];
    int length;

    if (error == 0 || descriptor == OS_LOG_STDERR)
        return;
    // Several threads may fail at once: the first of them says it. The file stays open until
    // log_fini(), since another thread may be writing to it.
    if (atomic_exchange(&logger.descriptor, OS_LOG_STDERR) != OS_LOG_STDERR) {
        line_start(&note, log_level_text(LOG_ERROR), "log");
        length =
            snprintf(text, sizeof(text), "the log file cannot be written: %s; logging goes on here",
                     error_text(error));
        line_add(&note, text, (size_t)length);
        line_end(&note);
        (void)os_log_write(OS_LOG_STDERR, note.text, note.size);
    }
    (void)os_log_write(OS_LOG_STDERR, line->text, line->size);
}

int log_init(const struct log_config *config)
{
    int descriptor = OS_LOG_STDERR;

    log_fini();
    logger.program = config->program;
    logger.level = config->level;
    if (config->file != NULL && *config->file != '\0')
        descriptor = os_log_open(config->file);
    if (descriptor < 0)
        return descriptor;
    logger.opened = descriptor;
    atomic_store(&logger.descriptor, descriptor);
    return 0;
}

void log_fini(void)
{
    atomic_store(&logger.descriptor, OS_LOG_STDERR);
    if (logger.opened != OS_LOG_STDERR)
        os_log_close(logger.opened);
    logger.opened = OS_LOG_STDERR;
}

int log_level_parse(const char *text, enum log_level *out_level)
{
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        if (strcmp(text, log_level_text((enum log_level)level)) == 0) {
            *out_level = (enum log_level)level;
            return 0;
        }
    }
    return -EINVAL;
}

const char *log_level_text(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARN:
        return "warn";
    case LOG_ERROR:
        return "error";
    }
    return "?";
}

bool log_enabled(enum log_level level)
{
    return level >= logger.level;
}

void log_write(enum log_level level, const char *module, const char *format, ...)
{
    char message[LOG_LINE_MAX];
    struct line line;
    va_list arguments;
    int length;

    if (!log_enabled(level))
        return;
    va_start(arguments, format);
    length = vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (length < 0)
        length = snprintf(message, sizeof(message), "a message that cannot be formatted");
    if ((size_t)length >= sizeof(message))
        length = (int)sizeof(message) - 1; // longer than any line: line_add() cuts it anyway
    line_start(&line, log_level_text(level), module);
    line_add(&line, message, (size_t)length);
    line_end(&line);
    line_write(&line);
}

// Our own calendar: gmtime() shares its result between threads, and its safe forms differ between
// the systems.
const char *log_time_text(uint64_t utc_ms, char out[LOG_TIME_MAX])
{
    uint64_t seconds = utc_ms / 1000;
    unsigned days = (unsigned)(seconds / 86400 % 146097000); // keeps a wrong clock in bounds
    unsigned clock = (unsigned)(seconds % 86400);
    unsigned year = 1970 + days / 146097 * 400; // a calendar repeats after 400 years
    unsigned month = 0;

    days %= 146097;
    for (; days >= 365u + is_leap(year); year++)
        days -= 365u + is_leap(year);
    for (; days >= days_of_month(year, month); month++)
        days -= days_of_month(year, month);
    snprintf(out, LOG_TIME_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year % 10000, month + 1,
             days + 1, clock / 3600, clock / 60 % 60, clock % 60, (unsigned)(utc_ms % 1000));
    return out;
}
