// Goal: children start, speak line by line, are told to stop or killed, and outlive nobody.
// Method: this program starts itself in the roles below, on either system; it waits for events,
// never for time to pass. That a process is gone is seen by the lock it held.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"
#include "watch.h"

enum { CROWD = 8, CROWD_LINES = 100, LONG_BYTES = 3 * PROCESS_LINE_MAX + 17 };

static const char *self;
static struct watch watch; // each test leaves it zero

#define START(...) watch_start(&watch, (const char *const[]){self, __VA_ARGS__, NULL}, NULL)

static void say(const char *text)
{
    os_write_stdout(text, strlen(text));
}

static char long_byte(size_t at)
{
    return (char)('a' + at % 26);
}

// Roles of the child.

static int role_lines(void)
{
    say("one\ntwo\r\n\nthree");
    say(" and a half\nlast without end");
    return 0;
}

static int role_long(void)
{
    char text[LONG_BYTES + 1];

    for (size_t i = 0; i < LONG_BYTES; i++)
        text[i] = long_byte(i);
    text[LONG_BYTES] = '\n';
    os_write_stdout(text, sizeof(text));
    say("short\n");
    return 0;
}

static int role_count(void)
{
    char text[32];

    for (int i = 0; i < CROWD_LINES; i++) {
        snprintf(text, sizeof(text), "line %d\n", i);
        say(text);
    }
    return 7;
}

static int role_environment(void)
{
    const char *own = os_environment("TROUPE_TEST_OWN");
    const char *changed = os_environment("TROUPE_TEST_CHANGED");
    char text[128];

    snprintf(text, sizeof(text), "%s|%s|%s\n", own != NULL ? own : "none",
             changed != NULL ? changed : "none", os_environment("PATH") != NULL ? "path" : "none");
    say(text);
    return 0;
}

static int role_arguments(int count, char **arguments)
{
    for (int i = 2; i < count; i++) {
        say("<");
        say(arguments[i]);
        say(">\n");
    }
    return 0;
}

static int role_forever(void) // longer than any test waits
{
    say("ready\n");
    os_sleep_ms(10 * WATCH_PATIENCE_MS);
    return 6;
}

static void stop_now(void *context)
{
    (void)context;
    say("stopping\n");
    exit(5);
}

static int role_stoppable(void)
{
    os_on_stop(stop_now, NULL);
    return role_forever();
}

// Says "ready" with its lock in hand: whoever gets the lock knows that this process is gone.
static int role_locked(const char *lock)
{
    uint64_t holder;

    if (os_lock("scratch", lock, &holder) != 0)
        return 9;
    return role_forever();
}

// Starts a child of its own and says "ready" when that one does.
static int role_parent(const char *lock)
{
    static struct watch child;
    const char *const arguments[] = {self, "locked", lock, NULL};

    if (watch_start(&child, arguments, NULL) != 0)
        return 8;
    watch_lines(&child, 1);
    return role_forever();
}

static int run_role(int count, char **arguments)
{
    const char *role = arguments[1];
    const char *more = count > 2 ? arguments[2] : "";

    if (strcmp(role, "lines") == 0)
        return role_lines();
    if (strcmp(role, "long") == 0)
        return role_long();
    if (strcmp(role, "count") == 0)
        return role_count();
    if (strcmp(role, "environment") == 0)
        return role_environment();
    if (strcmp(role, "arguments") == 0)
        return role_arguments(count, arguments);
    if (strcmp(role, "exit") == 0)
        return atoi(more);
    if (strcmp(role, "stdin") == 0)
        return getchar() == EOF ? 0 : 1;
    if (strcmp(role, "forever") == 0)
        return role_forever();
    if (strcmp(role, "stoppable") == 0)
        return role_stoppable();
    if (strcmp(role, "locked") == 0)
        return role_locked(more);
    if (strcmp(role, "parent") == 0)
        return role_parent(more);
    return 99;
}

// The tests.

static void process_lines_come_whole_and_in_order(void **unused)
{
    static const char *const expected[] = {"one", "two", "", "three and a half",
                                           "last without end"};

    (void)unused;
    assert_int_equal(START("lines"), 0);
    watch_end(&watch);
    assert_int_equal(watch.seen, ARRAY_COUNT(expected)); // all of them before `exited`
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
        assert_string_equal(watch.lines[i].text, expected[i]);
    watch_fini(&watch);
}

static void process_long_line_comes_in_pieces(void **unused)
{
    size_t at = 0;

    (void)unused;
    assert_int_equal(START("long"), 0);
    watch_end(&watch);
    assert_true(watch.seen >= 5);
    for (size_t i = 0; i + 1 < watch.seen; i++) {
        for (const char *text = watch.lines[i].text; *text != '\0'; text++)
            assert_int_equal(*text, long_byte(at++));
    }
    assert_int_equal(at, LONG_BYTES);
    assert_string_equal(watch.lines[watch.seen - 1].text, "short");
    watch_fini(&watch);
}

static void process_exit_code_is_told(void **unused)
{
    static const int codes[] = {0, 1, 3, 42, 255};

    (void)unused;
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        char code[16];
        char text[64];

        snprintf(code, sizeof(code), "%d", codes[i]);
        snprintf(text, sizeof(text), "exit code %d", codes[i]);
        assert_int_equal(START("exit", code), 0);
        watch_end(&watch);
        assert_int_equal(watch.how.code, codes[i]);
        assert_int_equal(watch.how.signal, 0);
        assert_string_equal(watch.how.text, text);
        watch_fini(&watch);
    }
}

static void process_missing_program_is_an_error(void **unused)
{
    const char *const missing[] = {"scratch/there-is-no-such-program", NULL};
    const char *const folder[] = {"scratch", NULL};

    (void)unused;
    assert_int_equal(watch_start(&watch, missing, NULL), -ENOENT);
    assert_null(watch.process);
    watch_fini(&watch);
    assert_true(watch_start(&watch, folder, NULL) < 0);
    assert_null(watch.process);
    watch_fini(&watch);
}

static void process_arguments_arrive_as_given(void **unused)
{
    static const char *const given[] = {
        "plain", "",          "a b",    "\"quoted\"", "back\\slash\\",
        "\\\"",  "tab\there", "%PATH%", "*",          "'x'"};
    const char *arguments[ARRAY_COUNT(given) + 3] = {self, "arguments"};

    (void)unused;
    memcpy(arguments + 2, given, sizeof(given));
    assert_int_equal(watch_start(&watch, arguments, NULL), 0);
    watch_end(&watch);
    assert_int_equal(watch.seen, ARRAY_COUNT(given));
    for (size_t i = 0; i < ARRAY_COUNT(given); i++) {
        char expected[64];

        snprintf(expected, sizeof(expected), "<%s>", given[i]);
        assert_string_equal(watch.lines[i].text, expected);
    }
    watch_fini(&watch);
}

static void process_environment_adds_to_the_parents(void **unused)
{
    const char *const arguments[] = {self, "environment", NULL};
    const char *const own[] = {"TROUPE_TEST_OWN=a=b c", "TROUPE_TEST_CHANGED=", NULL};

    (void)unused;
    assert_int_equal(watch_start(&watch, arguments, own), 0);
    watch_end(&watch);
    assert_int_equal(watch.seen, 1);
    // Windows knows no empty variable: it may come as none there.
    if (strcmp(watch.lines[0].text, "a=b c|none|path") != 0)
        assert_string_equal(watch.lines[0].text, "a=b c||path");
    watch_fini(&watch);
}

static void process_standard_input_is_empty(void **unused)
{
    (void)unused;
    assert_int_equal(START("stdin"), 0);
    watch_end(&watch);
    assert_int_equal(watch.how.code, 0);
    watch_fini(&watch);
}

static void process_stop_asks_the_child(void **unused)
{
    (void)unused;
    assert_int_equal(START("stoppable"), 0);
    watch_lines(&watch, 1);
    assert_string_equal(watch.lines[0].text, "ready");
    assert_true(process_id(watch.process) != 0);
    assert_true(process_id(watch.process) != os_process_id());
    process_stop(watch.process);
    watch_end(&watch);
    assert_int_equal(watch.seen, 2);
    assert_string_equal(watch.lines[1].text, "stopping");
    assert_int_equal(watch.how.code, 5);
    watch_fini(&watch);
}

static void process_kill_does_not_ask(void **unused)
{
    (void)unused;
    assert_int_equal(START("stoppable"), 0);
    watch_lines(&watch, 1);
    process_kill(watch.process);
    watch_end(&watch);
    assert_int_equal(watch.seen, 1);
    assert_int_not_equal(watch.how.code, 0);
    assert_true(strlen(watch.how.text) > 0);
    process_kill(watch.process); // too late is harmless
    process_stop(watch.process);
    watch_fini(&watch);
}

// Waits for the lock that a process which must die holds.
static void expect_lock_free(const char *lock)
{
    uint64_t start = os_now_ms();
    uint64_t holder;
    int rc;

    while ((rc = os_lock("scratch", lock, &holder)) == -EBUSY) {
        assert_true(os_now_ms() - start < WATCH_PATIENCE_MS);
        os_sleep_ms(2);
    }
    assert_int_equal(rc, 0);
}

static void process_killed_hard_takes_its_children_along(void **unused)
{
    char lock[64];
    uint64_t holder = 0;

    (void)unused;
    snprintf(lock, sizeof(lock), "process-%llu", (unsigned long long)os_process_id());
    assert_int_equal(START("parent", lock), 0);
    watch_lines(&watch, 1);
    assert_int_equal(os_lock("scratch", lock, &holder), -EBUSY);
    process_kill(watch.process);
    watch_end(&watch);
    expect_lock_free(lock);
    watch_fini(&watch);
}

static void process_many_at_once_are_kept_apart(void **unused)
{
    static struct watch crowd[CROWD];
    const char *const arguments[] = {self, "count", NULL};
    char expected[32];

    (void)unused;
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(watch_start(&crowd[i], arguments, NULL), 0);
    for (int i = 0; i < CROWD; i++) {
        watch_end(&crowd[i]);
        assert_int_equal(crowd[i].how.code, 7);
        assert_int_equal(crowd[i].seen, CROWD_LINES);
        for (int j = 0; j < CROWD_LINES; j++) {
            snprintf(expected, sizeof(expected), "line %d", j);
            assert_string_equal(crowd[i].lines[j].text, expected);
        }
        watch_fini(&crowd[i]);
    }
    process_destroy(NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(process_lines_come_whole_and_in_order),
        cmocka_unit_test(process_long_line_comes_in_pieces),
        cmocka_unit_test(process_exit_code_is_told),
        cmocka_unit_test(process_missing_program_is_an_error),
        cmocka_unit_test(process_arguments_arrive_as_given),
        cmocka_unit_test(process_environment_adds_to_the_parents),
        cmocka_unit_test(process_standard_input_is_empty),
        cmocka_unit_test(process_stop_asks_the_child),
        cmocka_unit_test(process_kill_does_not_ask),
        cmocka_unit_test(process_killed_hard_takes_its_children_along),
        cmocka_unit_test(process_many_at_once_are_kept_apart),
    };

    os_init();
    self = argv[0];
    if (argc > 1)
        return run_role(argc, argv);
    if (os_make_private_folder("scratch") != 0)
        return 1;
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
