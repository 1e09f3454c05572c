// Goal: arguments of any content come out of a Windows command line as they went in.
// Method: known cases by their text; random ones are taken apart again by a small parser that
// follows the documented rules, and compared.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "command_line.h"

enum { ARGUMENT_MAX = 24, ROUNDS = 20000 };

static const uint32_t seed = 20260131;

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void check(const char *argument, const char *expected)
{
    struct buffer line = {0};

    assert_int_equal(command_line_append(&line, "x"), 0);
    assert_int_equal(command_line_append(&line, argument), 0);
    assert_int_equal(buffer_append(&line, "", 1), 0);
    assert_memory_equal(buffer_data(&line), "x ", 2);
    assert_string_equal((const char *)buffer_data(&line) + 2, expected);
    buffer_free(&line);
}

// Takes the next argument apart: 2n backslashes and a quote are n and the quote's meaning, 2n + 1
// are n and a quote, all others are themselves. Returns what follows it.
static const char *parse(const char *line, char *out)
{
    bool is_quoted = false;

    while (*line == ' ')
        line++;
    while (*line != '\0' && (is_quoted || (*line != ' ' && *line != '\t'))) {
        size_t backslashes = strspn(line, "\\");

        line += backslashes;
        if (*line != '"') {
            memset(out, '\\', backslashes);
            out += backslashes;
            if (backslashes == 0)
                *out++ = *line++;
            continue;
        }
        memset(out, '\\', backslashes / 2);
        out += backslashes / 2;
        if (backslashes % 2 == 1)
            *out++ = '"';
        else
            is_quoted = !is_quoted;
        line++;
    }
    *out = '\0';
    return line;
}

static void command_line_plain_argument_stays_as_it_is(void **state)
{
    (void)state;
    check("abc", "abc");
    check("--gateway.listen=*:7777", "--gateway.listen=*:7777");
    check("C:\\a\\", "C:\\a\\");
    check("\\\\host\\share", "\\\\host\\share");
}

static void command_line_blank_or_empty_argument_is_quoted(void **state)
{
    (void)state;
    check("", "\"\"");
    check("a b", "\"a b\"");
    check("a\tb", "\"a\tb\"");
    check("a\nb", "\"a\nb\"");
}

static void command_line_quotes_and_backslashes_are_escaped(void **state)
{
    (void)state;
    check("a\"b", "\"a\\\"b\"");
    check("a\\\"b", "\"a\\\\\\\"b\"");
    check("a b\\", "\"a b\\\\\"");
    check("a\\ b\\\\", "\"a\\ b\\\\\\\\\"");
    check("\"", "\"\\\"\"");
}

static void command_line_program_with_blank_is_quoted_and_not_escaped(void **state)
{
    struct buffer line = {0};

    (void)state;
    assert_int_equal(command_line_append(&line, "C:\\a b\\"), 0);
    assert_int_equal(command_line_append(&line, "c"), 0);
    assert_int_equal(buffer_size(&line), 11);
    assert_memory_equal(buffer_data(&line), "\"C:\\a b\\\" c", 11);
    buffer_free(&line);
}

static void command_line_program_with_quote_is_refused(void **state)
{
    struct buffer line = {0};

    (void)state;
    assert_int_equal(command_line_append(&line, "a\"b"), -EINVAL);
    assert_int_equal(buffer_size(&line), 0);
    buffer_free(&line);
}

static void command_line_random_arguments_come_back(void **state)
{
    static const char alphabet[] = {'\\', '\\', '"', ' ', 'a', '\t'};
    uint32_t random = seed;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        char arguments[3][ARGUMENT_MAX + 1];
        char back[4 * ARGUMENT_MAX];
        struct buffer line = {0};
        const char *rest;

        assert_int_equal(command_line_append(&line, "x"), 0);
        for (int i = 0; i < 3; i++) {
            uint32_t length = next_random(&random) % (ARGUMENT_MAX + 1);

            for (uint32_t k = 0; k < length; k++)
                arguments[i][k] = alphabet[next_random(&random) % sizeof(alphabet)];
            arguments[i][length] = '\0';
            assert_int_equal(command_line_append(&line, arguments[i]), 0);
        }
        assert_int_equal(buffer_append(&line, "", 1), 0);
        rest = (const char *)buffer_data(&line) + 1;
        for (int i = 0; i < 3; i++) {
            rest = parse(rest, back);
            if (strcmp(back, arguments[i]) != 0)
                print_error("seed %u, round %d: '%s'\n", (unsigned)seed, round, arguments[i]);
            assert_string_equal(back, arguments[i]);
        }
        assert_int_equal(*rest, '\0');
        buffer_free(&line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_line_plain_argument_stays_as_it_is),
        cmocka_unit_test(command_line_blank_or_empty_argument_is_quoted),
        cmocka_unit_test(command_line_quotes_and_backslashes_are_escaped),
        cmocka_unit_test(command_line_program_with_blank_is_quoted_and_not_escaped),
        cmocka_unit_test(command_line_program_with_quote_is_refused),
        cmocka_unit_test(command_line_random_arguments_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
