// Goal: records that several writers append to a file stand in it whole or not at all, and never
// more of them than its limit allows.
// Method: each result against the file's bytes; many threads that append at once.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"

#define FILE_NAME "scratch/test_os_file.txt"

enum { WRITERS = 6, RECORDS = 60, RECORD_SIZE = 1000, READ_MAX = 1024 * 1024 };

static void expect_content(const void *content, size_t size)
{
    uint8_t *data = NULL;
    size_t got = 99;

    assert_int_equal(os_file_read(FILE_NAME, READ_MAX, &data, &got), 0);
    assert_int_equal(got, size);
    assert_memory_equal(data, content, size);
    free(data);
}

static int setup(void **unused)
{
    (void)unused;
    remove(FILE_NAME);
    return 0;
}

static void os_file_append_makes_the_file_and_adds(void **unused)
{
    (void)unused;
    assert_int_equal(os_file_append(FILE_NAME, "one\n", 4, 100), 0);
    expect_content("one\n", 4);
    assert_int_equal(os_file_append(FILE_NAME, "two\r\n\0\xFF", 7, 100), 0);
    assert_int_equal(os_file_append(FILE_NAME, "", 0, 100), 0);
    expect_content("one\ntwo\r\n\0\xFF", 11);
}

static void os_file_append_stops_at_the_limit(void **unused)
{
    (void)unused;
    assert_int_equal(os_file_append(FILE_NAME, "123456", 6, 10), 0);
    assert_int_equal(os_file_append(FILE_NAME, "12345", 5, 10), -EFBIG);
    expect_content("123456", 6);
    assert_int_equal(os_file_append(FILE_NAME, "7890", 4, 10), 0);
    assert_int_equal(os_file_append(FILE_NAME, "x", 1, 10), -EFBIG);
    assert_int_equal(os_file_append(FILE_NAME, "x", 1, 5), -EFBIG); // the limit is lower now
    expect_content("1234567890", 10);
}

static void os_file_that_cannot_be_is_an_error(void **unused)
{
    uint8_t *data = NULL;
    size_t size = 7;

    (void)unused;
    assert_int_equal(os_file_append("scratch/none/file", "x", 1, 10), -ENOENT);
    assert_true(os_file_append("scratch", "x", 1, 10) < 0);
    assert_int_equal(os_file_read(FILE_NAME, 10, &data, &size), -ENOENT);
    assert_true(os_file_read("scratch", 10, &data, &size) < 0);
    assert_null(data);
    assert_int_equal(size, 7);
}

static void os_file_read_stops_at_the_limit(void **unused)
{
    static char text[200000];
    uint8_t *data = NULL;
    size_t size = 7;

    (void)unused;
    memset(text, 'x', sizeof(text));
    assert_int_equal(os_file_append(FILE_NAME, text, sizeof(text), READ_MAX), 0);
    expect_content(text, sizeof(text));
    assert_int_equal(os_file_read(FILE_NAME, sizeof(text) - 1, &data, &size), -EFBIG);
    assert_int_equal(os_file_read(FILE_NAME, 10, &data, &size), -EFBIG);
    assert_int_equal(os_file_read(FILE_NAME, 0, &data, &size), -EFBIG);
    assert_null(data);
    assert_int_equal(os_file_read(FILE_NAME, sizeof(text), &data, &size), 0);
    assert_int_equal(size, sizeof(text));
    free(data);
}

static void os_file_empty_is_read(void **unused)
{
    (void)unused;
    assert_int_equal(os_file_append(FILE_NAME, "", 0, 0), 0);
    expect_content("", 0);
}

struct writer {
    struct os_thread thread;
    char letter;
    uint32_t refused;
    uint32_t failed;
};

static void writer_run(void *argument)
{
    struct writer *writer = argument;
    char record[RECORD_SIZE];

    memset(record, writer->letter, sizeof(record));
    record[RECORD_SIZE - 1] = '\n';
    for (int i = 0; i < RECORDS; i++) {
        int rc = os_file_append(FILE_NAME, record, sizeof(record),
                                RECORD_SIZE * (uint64_t)(WRITERS * RECORDS / 2) + 10);

        // Others may have held the lock all that time on a busy machine.
        if (rc == -EAGAIN)
            i--;
        else if (rc == -EFBIG)
            writer->refused++;
        else if (rc != 0)
            writer->failed++;
    }
}

static void os_file_writers_do_not_mix_and_keep_the_limit(void **unused)
{
    static struct writer writers[WRITERS];
    uint8_t *data = NULL;
    size_t size = 0;
    uint32_t refused = 0;

    (void)unused;
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.letter = (char)('a' + i)};
        assert_int_equal(os_thread_start(&writers[i].thread, writer_run, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        os_thread_join(&writers[i].thread);
        assert_int_equal(writers[i].failed, 0);
        refused += writers[i].refused;
    }
    assert_int_equal(refused, WRITERS * RECORDS / 2);
    assert_int_equal(os_file_read(FILE_NAME, READ_MAX, &data, &size), 0);
    assert_int_equal(size, RECORD_SIZE * WRITERS * RECORDS / 2);
    for (size_t at = 0; at < size; at += RECORD_SIZE) {
        assert_int_equal(data[at + RECORD_SIZE - 1], '\n');
        for (size_t i = 1; i < RECORD_SIZE - 1; i++)
            assert_int_equal(data[at + i], data[at]);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(os_file_append_makes_the_file_and_adds, setup),
        cmocka_unit_test_setup(os_file_append_stops_at_the_limit, setup),
        cmocka_unit_test_setup(os_file_that_cannot_be_is_an_error, setup),
        cmocka_unit_test_setup(os_file_read_stops_at_the_limit, setup),
        cmocka_unit_test_setup(os_file_empty_is_read, setup),
        cmocka_unit_test_setup(os_file_writers_do_not_mix_and_keep_the_limit, setup),
    };

    os_init();
    if (os_make_private_folder("scratch") != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
