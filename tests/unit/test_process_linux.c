// Goal: what only Linux can get wrong with processes: groups, signals, descriptors, descendants.
// Method: this program starts itself in the roles below and looks at what the child was given.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os.h"
#include "watch.h"

enum { DESCRIPTORS = 256 }; // looked at, from 0

static const char *self;
static struct watch watch;

#define START(...) watch_start(&watch, (const char *const[]){self, __VA_ARGS__, NULL}, NULL)

static void say_number(long number)
{
    char text[32];
    int length = snprintf(text, sizeof(text), "%ld\n", number);

    os_write_stdout(text, (size_t)length);
}

// Roles of the child. These run before os_init(), which would change what they look at.

static int role_inherited(void)
{
    sigset_t blocked;
    int count = 0;

    sigprocmask(SIG_BLOCK, NULL, &blocked);
    for (int number = 1; number < 32; number++) {
        struct sigaction action;

        sigaction(number, NULL, &action);
        if (sigismember(&blocked, number) || action.sa_handler == SIG_IGN)
            return 1;
    }
    if (getpgrp() != getpid())
        return 2;
    for (int descriptor = 0; descriptor < DESCRIPTORS; descriptor++)
        count += fcntl(descriptor, F_GETFD) >= 0;
    say_number(count);
    return 0;
}

static int role_signal(int number)
{
    raise(number);
    return 1;
}

// Leaves a process behind that keeps standard output and goes on writing; with `apart` it also
// leaves the group, so that only the test can end it.
static int role_leave(bool apart)
{
    pid_t left = fork();

    if (left == 0) {
        if (apart)
            setsid();
        signal(SIGPIPE, SIG_IGN);
        for (int i = 0; i < 2 * WATCH_PATIENCE_MS; i++) {
            os_write_stdout("noise\n", 6);
            os_sleep_ms(1);
        }
        _exit(0);
    }
    say_number((long)left);
    os_write_stdout("last", 4);
    return 0;
}

static int role_runtime_dir(void)
{
    char path[OS_PATH_MAX];

    if (os_runtime_dir_default(path) != 0)
        return 1;
    os_write_stdout(path, strlen(path));
    return 0;
}

// fn of os_on_stop() comes each time, not once.
static void count_stop(void *context)
{
    static int count;

    (void)context;
    say_number(++count);
}

static int role_stop_twice(void)
{
    os_init();
    os_on_stop(count_stop, NULL);
    os_write_stdout("ready\n", 6);
    os_sleep_ms(10 * WATCH_PATIENCE_MS);
    return 1;
}

static int run_role(char **arguments)
{
    if (strcmp(arguments[1], "inherited") == 0)
        return role_inherited();
    if (strcmp(arguments[1], "signal") == 0)
        return role_signal(atoi(arguments[2]));
    if (strcmp(arguments[1], "leave") == 0)
        return role_leave(false);
    if (strcmp(arguments[1], "leave-apart") == 0)
        return role_leave(true);
    if (strcmp(arguments[1], "runtime-dir") == 0)
        return role_runtime_dir();
    if (strcmp(arguments[1], "stop-twice") == 0)
        return role_stop_twice();
    return 99;
}

// The tests.

static void process_child_inherits_nothing_of_ours(void **unused)
{
    sigset_t some, before;
    int open_one = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)unused;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR1);
    sigaddset(&some, SIGTERM);
    sigprocmask(SIG_BLOCK, &some, &before);
    assert_int_equal(START("inherited"), 0);
    sigprocmask(SIG_SETMASK, &before, NULL);
    watch_end(&watch);
    assert_int_equal(watch.how.code, 0);
    assert_string_equal(watch.lines[0].text, "3"); // the standard streams
    watch_fini(&watch);
    close(open_one);
}

static void process_start_restores_the_signal_mask(void **unused)
{
    sigset_t before, after;

    (void)unused;
    sigprocmask(SIG_BLOCK, NULL, &before);
    assert_int_equal(START("signal", "0"), 0);
    sigprocmask(SIG_BLOCK, NULL, &after);
    for (int number = 1; number < NSIG; number++)
        assert_int_equal(sigismember(&before, number), sigismember(&after, number));
    watch_fini(&watch);
}

static void process_signal_is_told(void **unused)
{
    static const struct {
        const char *argument;
        const char *text;
    } table[] = {
        {"9", "signal 9 (killed)"},
        {"15", "signal 15 (terminated)"},
        {"40", "signal 40 (?)"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        assert_int_equal(START("signal", table[i].argument), 0);
        watch_end(&watch);
        assert_int_equal(watch.how.signal, atoi(table[i].argument));
        assert_int_equal(watch.how.code, 128 + watch.how.signal);
        assert_string_equal(watch.how.text, table[i].text);
        watch_fini(&watch);
    }
}

static void process_that_cannot_run_says_why(void **unused)
{
    const char *const arguments[] = {"scratch/not-a-program", NULL};
    int file = open(arguments[0], O_WRONLY | O_CREAT | O_TRUNC, 0600);

    (void)unused;
    assert_true(file >= 0);
    assert_int_equal(write(file, "\x7f garbage", 9), 9);
    close(file);
    assert_int_equal(chmod(arguments[0], 0600), 0);
    assert_int_equal(watch_start(&watch, arguments, NULL), -EACCES);
    watch_fini(&watch);
    assert_int_equal(chmod(arguments[0], 0700), 0);
    assert_int_equal(watch_start(&watch, arguments, NULL), -ENOEXEC);
    watch_fini(&watch);
}

static void wait_gone(pid_t pid)
{
    uint64_t start = os_now_ms();

    while (kill(pid, 0) == 0) {
        char path[64];
        char text[512] = "";
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
        file = fopen(path, "r");
        if (file != NULL) {
            if (fgets(text, sizeof(text), file) == NULL)
                text[0] = '\0';
            fclose(file);
        }
        if (strstr(text, ") Z ") != NULL)
            return; // dead; whoever adopted it has not looked yet
        assert_true(os_now_ms() - start < WATCH_PATIENCE_MS);
        os_sleep_ms(1);
    }
}

static pid_t expect_left(const char *role)
{
    pid_t left = 0;
    bool last = false;

    assert_int_equal(START(role), 0);
    watch_end(&watch); // though the pipe is still open
    assert_int_equal(watch.how.code, 0);
    for (size_t i = 0; i < watch.seen; i++) {
        if (atol(watch.lines[i].text) > 0)
            left = (pid_t)atol(watch.lines[i].text);
        if (strstr(watch.lines[i].text, "last") != NULL)
            last = true;
    }
    assert_true(left > 0 && last);
    watch_fini(&watch);
    return left;
}

static void process_end_is_not_delayed_by_a_descendant(void **unused)
{
    pid_t left;

    (void)unused;
    for (int i = 0; i < 10; i++) {
        wait_gone(expect_left("leave")); // of the child's group: it goes with the child
        left = expect_left("leave-apart");
        assert_int_equal(kill(left, SIGKILL), 0);
        wait_gone(left);
    }
}

static void process_reaps_what_it_started(void **unused)
{
    pid_t pid;

    (void)unused;
    assert_int_equal(START("signal", "9"), 0);
    watch_end(&watch);
    pid = (pid_t)process_id(watch.process);
    assert_int_equal(kill(pid, 0), 0); // the number stays taken until destroy
    watch_fini(&watch);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void os_stop_is_told_each_time(void **unused)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

    (void)unused;
    assert_int_equal(START("stop-twice"), 0);
    watch_lines(&watch, 1);
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        assert_int_equal(kill((pid_t)process_id(watch.process), numbers[i]), 0);
        watch_lines(&watch, 2 + i);
        assert_int_equal(atoi(watch.lines[1 + i].text), i + 1);
    }
    watch_fini(&watch);
}

static void os_runtime_dir_is_the_users(void **unused)
{
    char cwd[OS_PATH_MAX - 64], own[OS_PATH_MAX], expected[OS_PATH_MAX + 16];
    const char *const arguments[] = {self, "runtime-dir", NULL};
    const char *environment[] = {own, NULL};

    (void)unused;
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    snprintf(own, sizeof(own), "XDG_RUNTIME_DIR=%s/scratch", cwd);
    snprintf(expected, sizeof(expected), "%s/scratch/troupe", cwd);
    assert_int_equal(watch_start(&watch, arguments, environment), 0);
    watch_end(&watch);
    assert_string_equal(watch.lines[0].text, expected);
    watch_fini(&watch);
    snprintf(own, sizeof(own), "XDG_RUNTIME_DIR=scratch"); // relative: not for us
    snprintf(expected, sizeof(expected), "/tmp/troupe-%lu", (unsigned long)geteuid());
    assert_int_equal(watch_start(&watch, arguments, environment), 0);
    watch_end(&watch);
    assert_string_equal(watch.lines[0].text, expected);
    watch_fini(&watch);
}

static void os_private_folder_must_be_ours_alone(void **unused)
{
    struct stat about;

    (void)unused;
    (void)rmdir("scratch/mode");
    (void)unlink("scratch/link");
    assert_int_equal(os_make_private_folder("scratch/mode/"), 0);
    assert_int_equal(stat("scratch/mode", &about), 0);
    assert_int_equal(about.st_mode & 07777, 0700);
    assert_int_equal(chmod("scratch/mode", 0755), 0);
    assert_int_equal(os_make_private_folder("scratch/mode"), 0);
    assert_int_equal(chmod("scratch/mode", 0777), 0);
    assert_int_equal(os_make_private_folder("scratch/mode"), -EACCES);
    assert_int_equal(chmod("scratch/mode", 0700), 0);
    assert_int_equal(symlink("mode", "scratch/link"), 0);
    assert_int_equal(os_make_private_folder("scratch/link"), -ENOTDIR);
    if (geteuid() == 0) {
        assert_int_equal(chown("scratch/mode", 65534, 65534), 0);
        assert_int_equal(os_make_private_folder("scratch/mode"), -EACCES);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(process_child_inherits_nothing_of_ours),
        cmocka_unit_test(process_start_restores_the_signal_mask),
        cmocka_unit_test(process_signal_is_told),
        cmocka_unit_test(process_that_cannot_run_says_why),
        cmocka_unit_test(process_end_is_not_delayed_by_a_descendant),
        cmocka_unit_test(process_reaps_what_it_started),
        cmocka_unit_test(os_stop_is_told_each_time),
        cmocka_unit_test(os_runtime_dir_is_the_users),
        cmocka_unit_test(os_private_folder_must_be_ours_alone),
    };

    self = argv[0];
    if (argc > 1)
        return run_role(argv);
    os_init();
    for (int descriptor = 3; descriptor < DESCRIPTORS; descriptor++)
        (void)fcntl(descriptor, F_SETFD, FD_CLOEXEC); // what whoever started us left open
    if (os_make_private_folder("scratch") != 0)
        return 1;
    return cmocka_run_group_tests_name("process_linux", tests, NULL, NULL);
}
