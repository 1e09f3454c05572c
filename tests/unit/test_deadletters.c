// Goal: `troupe deadletters` shows what a file holds, names what is damaged, and says what it means
// by its exit code.
// Method: files by hand, the output by the byte; the command line's own mistakes.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "deadletters.h"
#include "os.h"

#define OUT_NAME        "scratch/test_deadletters.out"
#define COMPLAINTS_NAME "scratch/test_deadletters.err"
#define ONE                                                                                        \
    "1 2026-01-31T12:00:00.123Z session=16777216 sequence=3 kind=frame size=4 app=\"echo 1\" "     \
    "peer=\"127.0.0.1:5\" why=\"a \\\"b\\\"\" payload=0100ff69\n"
#define TWO                                                                                        \
    "1 2026-01-31T12:00:01.000Z session=5 sequence=1 kind=open size=40 app=\"x 2\" "               \
    "peer=\"[::1]:5\" why=\"gone\" "                                                               \
    "payload=000102030405060708090a0b0c0d0e0f10\n"

enum { TEXT_MAX = 8192 };

static void read_text(const char *path, char out[TEXT_MAX])
{
    uint8_t *data = NULL;
    size_t size = 0;

    assert_int_equal(os_file_read(path, TEXT_MAX - 1, &data, &size), 0);
    memcpy(out, data, size);
    out[size] = '\0';
    free(data);
}

static void expect_print(const char *content, struct deadletters_request request, int result,
                         const char *out, const char *complaints)
{
    static char text[TEXT_MAX];
    size_t size = strlen(content);
    uint8_t *copy = malloc(size + 1);
    FILE *to = fopen(OUT_NAME, "wb");
    FILE *err = fopen(COMPLAINTS_NAME, "wb");

    assert_non_null(copy);
    assert_non_null(to);
    assert_non_null(err);
    memcpy(copy, content, size);
    assert_int_equal(deadletters_print(&request, "f", copy, size, to, err), result);
    fclose(to);
    fclose(err);
    free(copy);
    read_text(OUT_NAME, text);
    assert_string_equal(text, out);
    read_text(COMPLAINTS_NAME, text);
    assert_string_equal(text, complaints);
}

static void deadletters_list_has_a_line_for_each(void **unused)
{
    (void)unused;
    expect_print(ONE "x\n" TWO, (struct deadletters_request){0}, 0,
                 "   1  2026-01-31T12:00:00.123Z  session 16777216 sequence 3: frame of 4 bytes "
                 "from '127.0.0.1:5' to 'echo 1': a \"b\"\n"
                 "   3  2026-01-31T12:00:01.000Z  session 5 sequence 1: open of 40 bytes "
                 "from '[::1]:5' to 'x 2': gone\n",
                 "troupe: f:2: damaged, skipped: it does not begin like a record\n");
}

static void deadletters_none_is_no_error(void **unused)
{
    (void)unused;
    expect_print("", (struct deadletters_request){0}, 0, "no dead letters in 'f'\n", "");
    expect_print("", (struct deadletters_request){.json = true}, 0, "[]\n", "");
    expect_print("x", (struct deadletters_request){.json = true}, 0, "[]\n",
                 "troupe: f:1: damaged, skipped: it has no end\n");
}

static void deadletters_show_prints_one_whole(void **unused)
{
    (void)unused;
    expect_print(ONE "x\n" TWO, (struct deadletters_request){.line = 3}, 0,
                 "line      3\n"
                 "time      2026-01-31T12:00:01.000Z\n"
                 "session   5\n"
                 "sequence  1\n"
                 "kind      open\n"
                 "app       x 2\n"
                 "peer      [::1]:5\n"
                 "why       gone\n"
                 "size      40 bytes, of which the first 17 were kept\n"
                 "  00000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  ................\n"
                 "  00000010  10                                               .\n",
                 "");
    expect_print(ONE, (struct deadletters_request){.line = 2}, -ENOENT, "",
                 "troupe: no dead letter in line 2 of 'f'\n");
    expect_print("x\n" ONE, (struct deadletters_request){.line = 1}, -ENOENT, "",
                 "troupe: f:1: damaged, skipped: it does not begin like a record\n"
                 "troupe: no dead letter in line 1 of 'f'\n");
}

static void deadletters_json_is_an_array(void **unused)
{
    static const char second[] =
        "  {\"line\": 2, \"time\": \"2026-01-31T12:00:01.000Z\", \"session\": \"5\", "
        "\"sequence\": 1, \"kind\": \"open\", \"app\": \"x 2\", \"peer\": \"[::1]:5\", "
        "\"why\": \"gone\", \"size\": 40, \"payload\": \"000102030405060708090a0b0c0d0e0f10\"}\n"
        "]\n";
    char all[TEXT_MAX];

    (void)unused;
    snprintf(all, sizeof(all),
             "[\n"
             "  {\"line\": 1, \"time\": \"2026-01-31T12:00:00.123Z\", \"session\": \"16777216\", "
             "\"sequence\": 3, \"kind\": \"frame\", \"app\": \"echo 1\", \"peer\": "
             "\"127.0.0.1:5\", \"why\": \"a \\\"b\\\"\", \"size\": 4, \"payload\": "
             "\"0100ff69\"},\n%s",
             second);
    expect_print(ONE TWO, (struct deadletters_request){.json = true}, 0, all, "");
    snprintf(all, sizeof(all), "[\n%s", second);
    expect_print(ONE TWO, (struct deadletters_request){.json = true, .line = 2}, 0, all, "");
}

static int run(const char *a, const char *b, const char *c)
{
    char name[] = "deadletters", folder[] = "--node.runtime_dir=scratch/none", copies[3][64];
    char *arguments[6] = {name, folder};
    const char *const given[] = {a, b, c};
    int count = 2;

    for (int i = 0; i < 3 && given[i] != NULL; i++) {
        snprintf(copies[i], sizeof(copies[i]), "%s", given[i]);
        arguments[count++] = copies[i];
    }
    return deadletters_command(count, arguments);
}

static void deadletters_command_line_is_checked(void **unused)
{
    (void)unused;
    assert_int_equal(run(NULL, NULL, NULL), 0);
    assert_int_equal(run("--json", NULL, NULL), 0);
    assert_int_equal(run("--show", "1", NULL), 1);
    assert_int_equal(run("--show", "4294967295", "--json"), 1);
    assert_int_equal(run("--show", NULL, NULL), 2);
    assert_int_equal(run("--show", "0", NULL), 2);
    assert_int_equal(run("--show", "-1", NULL), 2);
    assert_int_equal(run("--show", "1x", NULL), 2);
    assert_int_equal(run("--show", "4294967296", NULL), 2);
    assert_int_equal(run("--show", "99999999999999999999", NULL), 2);
    assert_int_equal(run("--show", "", NULL), 2);
    assert_int_equal(run("--all", NULL, NULL), 2);
    assert_int_equal(run("7", NULL, NULL), 2);
    assert_int_equal(run("--gateway.shards=x", NULL, NULL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadletters_list_has_a_line_for_each),
        cmocka_unit_test(deadletters_none_is_no_error),
        cmocka_unit_test(deadletters_show_prints_one_whole),
        cmocka_unit_test(deadletters_json_is_an_array),
        cmocka_unit_test(deadletters_command_line_is_checked),
    };

    os_init();
    if (os_make_private_folder("scratch") != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
