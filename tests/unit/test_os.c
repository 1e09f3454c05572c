// Goal: what the rest of the program asks of the operating system is answered alike everywhere.
// Method: each answer against what must hold on any system; this program starts itself where two
// processes are needed.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "os.h"
#include "watch.h"

enum { THREADS = 8 };

static const char *self;
static struct watch watch;

// Roles of the child.

static int role_lock(const char *name)
{
    uint64_t holder = 0;
    char text[64];

    if (os_lock("scratch", name, &holder) != 0)
        return 1;
    snprintf(text, sizeof(text), "%llu\n", (unsigned long long)os_process_id());
    os_write_stdout(text, strlen(text));
    os_sleep_ms(10 * WATCH_PATIENCE_MS);
    return 2;
}

static int role_environment(void)
{
    const char *value = os_environment("TROUPE_TEST_VALUE");

    return value != NULL && strcmp(value, "x y") == 0 ? 3 : 4;
}

// The tests.

static void os_clock_goes_forward(void **unused)
{
    uint64_t ms = os_now_ms();
    uint64_t before = os_now_ns();

    (void)unused;
    for (int i = 0; i < 10000; i++) {
        uint64_t now = os_now_ns();

        assert_true(now >= before);
        before = now;
    }
    os_sleep_ms(20);
    assert_true(os_now_ns() - before >= 10000000);
    assert_true(os_now_ms() - ms >= 10);
    os_sleep_ms(0);
    // Both units are of one clock.
    assert_true(os_now_ns() / 1000000 - os_now_ms() < 1000 ||
                os_now_ms() - os_now_ns() / 1000000 < 1000);
}

static void os_utc_is_of_our_time(void **unused)
{
    (void)unused;
    assert_in_range(os_now_utc_ms() / 1000, 1704067200, 7258118400); // 2024 to 2199
}

static void os_counts_are_plausible(void **unused)
{
    (void)unused;
    assert_in_range(os_core_count(), 1, 65536);
    assert_true(os_process_id() > 0);
    assert_true(os_descriptor_limit_raise() >= 64);
    assert_int_equal(os_descriptor_limit_raise(), os_descriptor_limit_raise());
}

static void os_usage_of_this_process_and_of_none(void **unused)
{
    uint64_t start = os_now_ms();
    uint64_t before = os_cpu_time_us(os_process_id());

    (void)unused;
    assert_in_range(os_resident_bytes(os_process_id()), 65536, (uint64_t)1 << 40);
    while (os_cpu_time_us(os_process_id()) <= before)
        assert_true(os_now_ms() - start < WATCH_PATIENCE_MS);
    assert_int_equal(os_resident_bytes(0x7FFFFFF0), 0);
    assert_int_equal(os_cpu_time_us(0x7FFFFFF0), 0);
}

static void os_usage_of_a_child(void **unused)
{
    const char *const arguments[] = {self, "lock", "usage", NULL};

    (void)unused;
    assert_int_equal(watch_start(&watch, arguments, NULL), 0);
    watch_lines(&watch, 1);
    assert_true(os_resident_bytes(process_id(watch.process)) >= 65536);
    watch_fini(&watch);
}

static void os_random_differs(void **unused)
{
    uint8_t a[32] = {0}, b[32] = {0}, none[1] = {7};
    static uint8_t large[100000];
    size_t zeros = 0;

    (void)unused;
    os_random(a, sizeof(a));
    os_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    os_random(none, 0);
    assert_int_equal(none[0], 7);
    os_random(large, sizeof(large));
    for (size_t i = 0; i < sizeof(large); i++)
        zeros += large[i] == 0;
    assert_in_range(zeros, 200, 700); // 390 are to be expected
}

static void square(void *argument)
{
    *(int *)argument *= *(int *)argument;
}

static void os_threads_run_and_are_joined(void **unused)
{
    struct os_thread threads[THREADS];
    int numbers[THREADS];

    (void)unused;
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(os_thread_start(&threads[i], square, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        os_thread_join(&threads[i]);
        assert_int_equal(numbers[i], i * i);
    }
}

// The name of this program without its folder and ".exe".
static void own_name(char *out, size_t room)
{
    const char *name = self;

    for (const char *c = self; *c != '\0'; c++) {
        if (*c == '/' || *c == '\\')
            name = c + 1;
    }
    snprintf(out, room, "%.*s", (int)strcspn(name, "."), name);
}

static void os_program_is_found_beside_this_one(void **unused)
{
    char folder[OS_PATH_MAX];
    char path[OS_PATH_MAX];
    char again[OS_PATH_MAX];
    char name[256];
    size_t length;

    (void)unused;
    own_name(name, sizeof(name));
    assert_int_equal(os_program_folder(folder), 0);
    length = strlen(folder);
    assert_true(length > 0 && folder[length - 1] != '/' && folder[length - 1] != '\\');
    assert_int_equal(os_find_program(name, path), 0);
    assert_memory_equal(path, folder, length);
    assert_memory_equal(path + length + 1, name, strlen(name));
    assert_int_equal(os_find_program(path, again), 0); // a path is taken as it is
    assert_string_equal(path, again);
}

static void os_program_missing_says_where_it_was_looked_for(void **unused)
{
    char folder[OS_PATH_MAX];
    char path[OS_PATH_MAX] = "";
    char name[OS_PATH_MAX + 10];

    (void)unused;
    assert_int_equal(os_program_folder(folder), 0);
    assert_int_equal(os_find_program("troupe-no-such-program", path), -ENOENT);
    assert_memory_equal(path, folder, strlen(folder));
    assert_non_null(strstr(path, "troupe-no-such-program"));
    assert_int_equal(os_find_program("scratch/no-such-program", path), -ENOENT);
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(os_find_program(name, path), -ENAMETOOLONG);
    name[OS_PATH_MAX - 2] = '\0'; // fits alone, but not with the folder
    assert_int_equal(os_find_program(name, path), -ENAMETOOLONG);
}

static void os_private_folder_is_made_with_its_parents(void **unused)
{
    char path[OS_PATH_MAX];
    char file[OS_PATH_MAX + 16];
    char long_path[2 * OS_PATH_MAX];
    int descriptor;

    (void)unused;
    assert_int_equal(os_runtime_dir_default(path), 0);
    assert_true(strlen(path) > 0);
    snprintf(path, sizeof(path), "scratch/os-%llu/a/b", (unsigned long long)os_process_id());
    assert_int_equal(os_make_private_folder(path), 0);
    assert_int_equal(os_make_private_folder(path), 0);
    snprintf(file, sizeof(file), "%s/file", path);
    descriptor = os_log_open(file);
    assert_true(descriptor >= 0);
    os_log_close(descriptor);
    assert_true(os_make_private_folder(file) < 0);
    assert_int_equal(remove(file), 0);
    assert_true(os_make_private_folder("") < 0);
    memset(long_path, 'x', sizeof(long_path));
    long_path[sizeof(long_path) - 1] = '\0';
    assert_int_equal(os_make_private_folder(long_path), -ENAMETOOLONG);
}

static void os_ipc_address_has_a_limit(void **unused)
{
    char address[OS_PATH_MAX] = "";
    char other[OS_PATH_MAX] = "";
    char name[OS_PATH_MAX];
    size_t fits = 0;

    (void)unused;
    assert_int_equal(os_ipc_address(address, "scratch", "node-1"), 0);
    assert_memory_equal(address, "ipc://", 6);
    assert_int_equal(os_ipc_address(other, "scratch", "node-2"), 0);
    assert_string_not_equal(address, other);
    assert_int_equal(os_ipc_address(other, "scratch2", "node-1"), 0);
    assert_string_not_equal(address, other);
    for (size_t size = 1; size < sizeof(name); size++) {
        memset(name, 'x', size);
        name[size] = '\0';
        if (os_ipc_address(address, "scratch", name) == 0)
            fits = size;
        else
            assert_int_equal(os_ipc_address(address, "scratch", name), -ENAMETOOLONG);
    }
    assert_in_range(fits, 64, 250);
}

static void os_lock_is_held_until_its_process_ends(void **unused)
{
    char name[64];
    const char *const arguments[] = {self, "lock", name, NULL};
    unsigned long long number = 0;
    uint64_t start = os_now_ms();
    uint64_t holder = 1;
    int rc;

    (void)unused;
    snprintf(name, sizeof(name), "os-%llu", (unsigned long long)os_process_id());
    assert_int_equal(watch_start(&watch, arguments, NULL), 0);
    watch_lines(&watch, 1);
    assert_int_equal(sscanf(watch.lines[0].text, "%llu", &number), 1);
    assert_int_equal(number, process_id(watch.process));
    assert_int_equal(os_lock("scratch", name, &holder), -EBUSY);
    assert_true(holder == number || holder == 0);
    watch_fini(&watch);
    while ((rc = os_lock("scratch", name, &holder)) == -EBUSY) {
        assert_true(os_now_ms() - start < WATCH_PATIENCE_MS);
        os_sleep_ms(1);
    }
    assert_int_equal(rc, 0);
    snprintf(name, sizeof(name), "os-%llu-other", (unsigned long long)os_process_id());
    assert_int_equal(os_lock("scratch", name, &holder), 0);
}

static void os_environment_is_read(void **unused)
{
    const char *const arguments[] = {self, "environment", NULL};
    const char *const own[] = {"TROUPE_TEST_VALUE=x y", NULL};

    (void)unused;
    assert_non_null(os_environment("PATH"));
    assert_null(os_environment("TROUPE_TEST_THAT_NOBODY_SETS"));
    assert_int_equal(watch_start(&watch, arguments, own), 0);
    watch_end(&watch);
    assert_int_equal(watch.how.code, 3);
    watch_fini(&watch);
}

static void os_log_file_is_appended_to(void **unused)
{
    static const char path[] = "scratch/test_os.log";
    char text[64] = "";
    FILE *file;

    (void)unused;
    remove(path);
    for (int i = 0; i < 2; i++) {
        int descriptor = os_log_open(path);

        assert_true(descriptor > OS_LOG_STDERR);
        assert_int_equal(os_log_write(descriptor, "ab\n", 3), 0);
        assert_int_equal(os_log_write(descriptor, "", 0), 0);
        os_log_close(descriptor);
    }
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof(text), file), 6);
    fclose(file);
    assert_memory_equal(text, "ab\nab\n", 6);
    assert_int_equal(os_log_open("scratch/no-such-folder/file"), -ENOENT);
    assert_true(os_log_open("scratch") < 0);
    os_log_close(OS_LOG_STDERR); // stays open
    assert_int_equal(os_log_write(OS_LOG_STDERR, "", 0), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(os_clock_goes_forward),
        cmocka_unit_test(os_utc_is_of_our_time),
        cmocka_unit_test(os_counts_are_plausible),
        cmocka_unit_test(os_usage_of_this_process_and_of_none),
        cmocka_unit_test(os_usage_of_a_child),
        cmocka_unit_test(os_random_differs),
        cmocka_unit_test(os_threads_run_and_are_joined),
        cmocka_unit_test(os_program_is_found_beside_this_one),
        cmocka_unit_test(os_program_missing_says_where_it_was_looked_for),
        cmocka_unit_test(os_private_folder_is_made_with_its_parents),
        cmocka_unit_test(os_ipc_address_has_a_limit),
        cmocka_unit_test(os_lock_is_held_until_its_process_ends),
        cmocka_unit_test(os_environment_is_read),
        cmocka_unit_test(os_log_file_is_appended_to),
    };

    os_init();
    self = argv[0];
    if (argc > 2 && strcmp(argv[1], "lock") == 0)
        return role_lock(argv[2]);
    if (argc > 1)
        return role_environment();
    if (os_make_private_folder("scratch") != 0)
        return 1;
    return cmocka_run_group_tests_name("os", tests, NULL, NULL);
}
