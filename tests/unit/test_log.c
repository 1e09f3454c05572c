// Goal: an event is one line, whole and unforged, and goes on to standard error on a full disk.
// Method: lines are written to a file and read back; times are compared with known days and with a
// walk through every day of 800 years; this program starts itself for what goes to standard error.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "os.h"
#include "watch.h"

#define LOG_FILE    "scratch/test_log.txt"
#define STDERR_FILE "scratch/test_log_stderr.txt"

enum { THREADS = 4, THREAD_LINES = 500, FILE_MAX = THREADS * THREAD_LINES * 100 };

static const char *self;
static char content[FILE_MAX];

static void read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t size;

    assert_non_null(file);
    size = fread(content, 1, sizeof(content) - 1, file);
    content[size] = '\0';
    fclose(file);
}

static void open_log(enum log_level level)
{
    remove(LOG_FILE);
    assert_int_equal(
        log_init(&(struct log_config){.program = "test", .level = level, .file = LOG_FILE}), 0);
}

// The lines without their times, as one text.
static const char *close_log(void)
{
    char *to = content;

    log_fini();
    read_file(LOG_FILE);
    for (const char *from = content; *from != '\0';) {
        const char *end = strchr(from, '\n');
        size_t size;

        assert_non_null(end);
        assert_true(end - from > 25 && from[10] == 'T' && from[23] == 'Z' && from[24] == ' ');
        from += 25;
        size = (size_t)(end + 1 - from);
        memmove(to, from, size);
        to += size;
        from = end + 1;
    }
    *to = '\0';
    return content;
}

static void log_line_has_program_level_and_module(void **unused)
{
    (void)unused;
    open_log(LOG_DEBUG);
    log_debug("port", "a %d", 1);
    log_info("listener", "bound '%s'", "127.0.0.1:7777");
    log_warn("m", "%s", "");
    log_error("m", "100%%");
    assert_string_equal(close_log(), "test debug port: a 1\n"
                                     "test info listener: bound '127.0.0.1:7777'\n"
                                     "test warn m: \n"
                                     "test error m: 100%\n");
}

static void log_below_the_level_is_dropped(void **unused)
{
    (void)unused;
    open_log(LOG_WARN);
    assert_false(log_enabled(LOG_DEBUG));
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_WARN));
    assert_true(log_enabled(LOG_ERROR));
    log_debug("m", "no");
    log_info("m", "no");
    log_warn("m", "yes");
    log_error("m", "yes");
    assert_string_equal(close_log(), "test warn m: yes\ntest error m: yes\n");
}

static void log_client_cannot_forge_a_line(void **unused)
{
    (void)unused;
    open_log(LOG_INFO);
    log_info("m", "a\nb\r\tc\x1b[31m\x7f%c.", 0);
    log_info("m", "\xC2\x85|\xE2\x80\xA8|\xE2\x80\xAE|\xFF|\xC3");
    log_info("m", "\xED\x95\x9C\xEA\xB8\x80 \xC3\xA9 \xF0\x9F\x98\x80");
    log_info("x\ny", "m");
    assert_string_equal(close_log(), "test info m: a?b??c?[31m??.\n"
                                     "test info m: ??|???|???|?|?\n"
                                     "test info m: \xED\x95\x9C\xEA\xB8\x80 \xC3\xA9 "
                                     "\xF0\x9F\x98\x80\n"
                                     "test info x?y: m\n");
}

static void log_long_line_is_cut(void **unused)
{
    static const char head[] = "2026-01-31T12:00:00.123Z test info m: ";
    char text[LOG_LINE_MAX * 2];
    size_t fits = 0;

    (void)unused;
    for (size_t size = LOG_LINE_MAX - 60; size < LOG_LINE_MAX + 60; size++) {
        size_t length;

        memset(text, 'x', size);
        text[size] = '\0';
        open_log(LOG_INFO);
        log_info("m", "%s", text);
        log_fini();
        read_file(LOG_FILE);
        length = strlen(content);
        assert_true(length <= LOG_LINE_MAX);
        assert_int_equal(content[length - 1], '\n');
        if (strcmp(content + length - 4, "...\n") != 0) {
            assert_int_equal(length, strlen(head) + size + 1);
            fits = size;
        } else {
            assert_true(size > fits);
        }
    }
    assert_true(fits > LOG_LINE_MAX - 60 && fits < LOG_LINE_MAX);
    memset(text, 'x', sizeof(text)); // a character is not cut in the middle
    text[sizeof(text) - 1] = '\0';
    for (size_t i = 1; i + 3 < sizeof(text); i += 3)
        memcpy(text + i, "\xED\x95\x9C", 3);
    open_log(LOG_INFO);
    log_info("m", "%s", text);
    assert_null(strchr(close_log(), '?'));
}

static void log_levels_have_names(void **unused)
{
    enum log_level level = LOG_WARN;

    (void)unused;
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        assert_int_equal(log_level_parse(log_level_text((enum log_level)i), &level), 0);
        assert_int_equal(level, i);
    }
    assert_int_equal(log_level_parse("", &level), -EINVAL);
    assert_int_equal(log_level_parse("Info", &level), -EINVAL);
    assert_int_equal(log_level_parse("information", &level), -EINVAL);
    assert_int_equal(level, LOG_ERROR);
}

static void log_file_that_cannot_be_opened_is_an_error(void **unused)
{
    struct log_config config = {
        .program = "test", .level = LOG_INFO, .file = "scratch/no-such-folder/log.txt"};

    (void)unused;
    assert_int_equal(log_init(&config), -ENOENT);
    log_fini();
}

static void log_time_of_known_moments(void **unused)
{
    static const struct {
        uint64_t utc_ms;
        const char *text;
    } table[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {999, "1970-01-01T00:00:00.999Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {951868800000, "2000-03-01T00:00:00.000Z"},
        {1709164800000, "2024-02-29T00:00:00.000Z"},
        {1769860800123, "2026-01-31T12:00:00.123Z"},
        {4102444799000, "2099-12-31T23:59:59.000Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"}, // no leap year
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    char text[LOG_TIME_MAX];

    (void)unused;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++)
        assert_string_equal(log_time_text(table[i].utc_ms, text), table[i].text);
    assert_int_equal(strlen(log_time_text(UINT64_MAX, text)), 24);
}

static void log_time_every_day_follows_the_one_before(void **unused)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = 1970, month = 1, day = 1;
    char text[LOG_TIME_MAX];
    char expected[LOG_TIME_MAX];

    (void)unused;
    for (uint64_t utc_ms = 0; year < 2770; utc_ms += 86400000) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT00:00:00.000Z", year, month, day);
        assert_string_equal(log_time_text(utc_ms, text), expected);
        if (++day <= lengths[month - 1] + (leap && month == 2))
            continue;
        day = 1;
        if (++month > 12) {
            month = 1;
            year++;
        }
    }
}

static void write_many(void *argument)
{
    for (int i = 0; i < THREAD_LINES; i++)
        log_info("m", "thread %d line %d", *(int *)argument, i);
}

static void log_lines_of_threads_stay_whole(void **unused)
{
    struct os_thread threads[THREADS];
    int numbers[THREADS];
    int next[THREADS] = {0};
    int count = 0;

    (void)unused;
    open_log(LOG_INFO);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(os_thread_start(&threads[i], write_many, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        os_thread_join(&threads[i]);
    for (const char *line = close_log(); *line != '\0'; line = strchr(line, '\n') + 1) {
        int thread, number;

        assert_int_equal(sscanf(line, "test info m: thread %d line %d", &thread, &number), 2);
        assert_true(thread >= 0 && thread < THREADS);
        assert_int_equal(number, next[thread]++);
        count++;
    }
    assert_int_equal(count, THREADS * THREAD_LINES);
}

// Role of the child: a full disk.
static int write_to_full_disk(void)
{
    struct log_config config = {.program = "test", .level = LOG_INFO, .file = "/dev/full"};

    if (freopen(STDERR_FILE, "w", stderr) == NULL || log_init(&config) != 0)
        return 1;
    log_info("m", "first");
    log_info("m", "second");
    log_fini();
    log_info("m", "third");
    return 0;
}

static void log_full_disk_is_told_once_on_standard_error(void **unused)
{
    static struct watch watch;
    const char *const arguments[] = {self, "full", NULL};
    FILE *full = fopen("/dev/full", "r");

    (void)unused;
    if (full == NULL)
        skip(); // not on this system
    fclose(full);
    assert_int_equal(watch_start(&watch, arguments, NULL), 0);
    watch_end(&watch);
    assert_int_equal(watch.how.code, 0);
    watch_fini(&watch);
    read_file(STDERR_FILE);
    assert_non_null(strstr(content, " test error log: the log file cannot be written: no space "
                                    "left on device; logging goes on here\n"));
    assert_null(strstr(strstr(content, "cannot be written") + 1, "cannot be written"));
    assert_non_null(strstr(content, "test info m: first\n"));
    assert_non_null(strstr(content, "test info m: second\n"));
    assert_non_null(strstr(content, "test info m: third\n"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_line_has_program_level_and_module),
        cmocka_unit_test(log_below_the_level_is_dropped),
        cmocka_unit_test(log_client_cannot_forge_a_line),
        cmocka_unit_test(log_long_line_is_cut),
        cmocka_unit_test(log_levels_have_names),
        cmocka_unit_test(log_file_that_cannot_be_opened_is_an_error),
        cmocka_unit_test(log_time_of_known_moments),
        cmocka_unit_test(log_time_every_day_follows_the_one_before),
        cmocka_unit_test(log_lines_of_threads_stay_whole),
        cmocka_unit_test(log_full_disk_is_told_once_on_standard_error),
    };

    os_init();
    self = argv[0];
    if (argc > 1)
        return write_to_full_disk();
    if (os_make_private_folder("scratch") != 0)
        return 1;
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
