// log.h - one line of text an event, to standard error or to a file.
// Floor 0.
//
//   2026-01-31T12:00:00.123Z gateway info listener: bound '127.0.0.1:7777'
//
// Set up once by main before threads start; log_write() and its four short forms may then be called
// from any thread: a line leaves in one write. A line has no capital at its start and no full stop;
// it quotes names. Bytes that are not printable come out as "?": a client cannot forge lines.
#ifndef TROUPE_LOG_H
#define TROUPE_LOG_H

#include "base.h"

enum {
    LOG_LINE_MAX = 2048, // bytes of a line with its end; longer ones are cut and end in "..."
    LOG_TIME_MAX = 48,   // room for a time's text with its end
};

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_config {
    const char *program;  // kept by reference: "gateway", "worker 3"
    enum log_level level; // what is below it is dropped
    const char *file;     // appended to; NULL or "" = standard error
};

// 0, or a negative errno when the file cannot be opened (standard error is used then). When a write
// to the file fails later (a full disk), one line on standard error says so, and logging goes on
// there.
int log_init(const struct log_config *config);

void log_fini(void);

// "debug", "info", "warn", "error" -> level. -EINVAL for any other text.
int log_level_parse(const char *text, enum log_level *out_level);
const char *log_level_text(enum log_level level);

// True when a line of this level would be written: guards costly arguments.
bool log_enabled(enum log_level level);

void log_write(enum log_level level, const char *module, const char *format, ...) BASE_PRINTF(3, 4);

// A UTC time in ms since 1970 as "2026-01-31T12:00:00.123Z"; returns out.
const char *log_time_text(uint64_t utc_ms, char out[LOG_TIME_MAX]);

#define log_debug(module, ...) log_write(LOG_DEBUG, module, __VA_ARGS__)
#define log_info(module, ...)  log_write(LOG_INFO, module, __VA_ARGS__)
#define log_warn(module, ...)  log_write(LOG_WARN, module, __VA_ARGS__)
#define log_error(module, ...) log_write(LOG_ERROR, module, __VA_ARGS__)

#endif
