// Goal: the load generator's pure parts can be trusted when they say that all is well: the pattern
// notices every changed byte at every place, the histogram's quantiles are within their promise,
// and options are checked. Method: against simple models, seeded.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "histogram.h"
#include "options.h"
#include "pattern.h"

static uint64_t seed = 42;

static uint64_t next_random(void)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return seed >> 20;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void histogram_of_nothing_is_zero(void **state)
{
    static const struct histogram histogram;

    (void)state;
    assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
    assert_int_equal(histogram_quantile(&histogram, 1), 0);
}

static void histogram_quantiles_are_near_those_of_a_sorted_list(void **state)
{
    enum { COUNT = 20000 };
    static const double parts[] = {0.001, 0.01, 0.5, 0.9, 0.99, 0.999, 1};
    static struct histogram histogram;
    static uint64_t values[COUNT];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT; i++) {
        values[i] = next_random() >> next_random() % 44;
        histogram_add(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof values[0], compare);
    for (i = 0; i < ARRAY_COUNT(parts); i++) {
        uint64_t exact = values[(size_t)(parts[i] * COUNT + 0.5) - 1];
        uint64_t found = histogram_quantile(&histogram, parts[i]);

        assert_true(found >= exact);
        assert_true(found <= exact + exact / 32);
    }
    assert_int_equal(histogram_quantile(&histogram, 1), values[COUNT - 1]);
}

static void histogram_takes_the_ends_of_the_range(void **state)
{
    static struct histogram histogram;

    (void)state;
    histogram_add(&histogram, 0);
    assert_int_equal(histogram_quantile(&histogram, 1), 0);
    histogram_add(&histogram, UINT64_MAX);
    assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
    assert_true(histogram_quantile(&histogram, 1) == UINT64_MAX);
}

static void pattern_parts_make_the_same_frame_as_the_whole(void **state)
{
    static const enum pattern_alphabet alphabets[] = {PATTERN_BINARY, PATTERN_TEXT};
    uint8_t whole[2048], part[2048];
    size_t a, round;

    (void)state;
    for (a = 0; a < 2; a++) {
        struct pattern pattern = {7, alphabets[a], 1, sizeof whole};

        for (round = 0; round < 2000; round++) {
            uint32_t client = (uint32_t)next_random();
            uint64_t sequence = next_random() % 5000;
            size_t size = pattern_size(&pattern, client, sequence);
            size_t at = next_random() % size;
            size_t n = 1 + next_random() % (size - at);

            pattern_fill(&pattern, client, sequence, 0, whole, size);
            pattern_fill(&pattern, client, sequence, at, part, n);
            assert_memory_equal(whole + at, part, n);
            assert_int_equal(pattern_match(&pattern, client, sequence, at, whole + at, n), n);
            whole[at + n / 2] ^= 1;
            assert_int_equal(pattern_match(&pattern, client, sequence, at, whole + at, n), n / 2);
        }
    }
}

static void pattern_sizes_include_both_ends_and_stay_between(void **state)
{
    struct pattern pattern = {1, PATTERN_BINARY, 2, 65536};
    size_t small = 0, i;

    (void)state;
    assert_int_equal(pattern_size(&pattern, 0, 0), 2);
    assert_int_equal(pattern_size(&pattern, 0, 1), 65536);
    assert_int_equal(pattern_size(&pattern, 1, 0), 65536);
    assert_int_equal(pattern_size(&pattern, 1, 1), 2);
    for (i = 2; i < 10000; i++) {
        size_t size = pattern_size(&pattern, 5, i);

        assert_in_range(size, 2, 65536);
        small += size < 300;
    }
    assert_in_range(small, 3000, 7000); // spread over the powers of two
    pattern.size_min = pattern.size_max = 64;
    assert_int_equal(pattern_size(&pattern, 9, 77), 64);
}

static void pattern_of_another_client_or_place_in_order_differs(void **state)
{
    struct pattern pattern = {1, PATTERN_BINARY, 16, 16};
    uint8_t frame[16];

    (void)state;
    pattern_fill(&pattern, 3, 9, 0, frame, sizeof frame);
    assert_true(pattern_match(&pattern, 3, 10, 0, frame, sizeof frame) < sizeof frame);
    assert_true(pattern_match(&pattern, 4, 9, 0, frame, sizeof frame) < sizeof frame);
    assert_int_equal(frame[0], 9); // sequence and client stand in front
    assert_int_equal(frame[4], 3);
}

static void pattern_of_text_has_letters_and_digits_only(void **state)
{
    struct pattern pattern = {1, PATTERN_TEXT, 500, 500};
    uint8_t frame[500];
    size_t i;

    (void)state;
    pattern_fill(&pattern, 3, 9, 0, frame, sizeof frame);
    for (i = 0; i < sizeof frame; i++)
        assert_true(frame[i] > ' ' && frame[i] < 127);
    assert_memory_equal(frame, "0000000900000003", 16);
}

static enum options_result parse(struct options *options, char why[256], const char *line)
{
    static char text[512];
    char *arguments[32] = {(char *)"troupe-bench"};
    int count = 1;
    char *word;

    snprintf(text, sizeof(text), "%s", line);
    for (word = strtok(text, " "); word; word = strtok(NULL, " "))
        arguments[count++] = word;
    why[0] = '\0';
    return options_parse(options, count, arguments, why);
}

static void options_that_are_right_are_taken(void **state)
{
    struct options options;
    char why[256];

    (void)state;
    assert_int_equal(parse(&options, why, ""), OPTIONS_RUN);
    assert_int_equal(options.connect.port, 7777);
    assert_int_equal(options.frames, 100);
    assert_int_equal(options.size_min, 64);
    assert_true(options.verify);
    assert_int_equal(parse(&options, why,
                           "--connect 127.0.0.1:9 --frame=line --clients 7 --seconds=3 "
                           "--sizes 0-100 --rate 50 --pid 1,22 --json --no-verify --half-close"),
                     OPTIONS_RUN);
    assert_int_equal(options.connect.port, 9);
    assert_int_equal(options.codec.kind, FRAME_LINE);
    assert_int_equal(options.clients, 7);
    assert_int_equal(options.frames, 0);
    assert_int_equal(options.size_max, 100);
    assert_int_equal(options.window, 256);
    assert_int_equal(options.pid_count, 2);
    assert_int_equal(options.pids[1], 22);
    assert_true(options.json && !options.json_file && !options.verify && options.half_close);
    assert_int_equal(parse(&options, why, "--json out.json --size 2"), OPTIONS_RUN);
    assert_string_equal(options.json_file, "out.json");
    assert_int_equal(parse(&options, why, "--clients 1 --help"), OPTIONS_HELP);
    assert_int_equal(parse(&options, why, "--version"), OPTIONS_VERSION);
    assert_non_null(strstr(options_help(), "--connect-per-message"));
}

static void options_that_are_wrong_are_named(void **state)
{
    static const struct {
        const char *line;
        const char *named;
    } wrong[] = {
        {"--what", "--what"},
        {"clients", "clients"},
        {"--clients", "--clients"},
        {"--clients x", "'x'"},
        {"--clients 5x", "'5x'"},
        {"--clients 99999999999999999999999", "--clients"},
        {"--window 0", "1 to 65536"},
        {"--connect nowhere", "nowhere"},
        {"--frame morse", "morse"},
        {"--size 1", "2 to"},
        {"--sizes 9-2", "9-2"},
        {"--sizes -2", "-2"},
        {"--size 65537 --frame len32be", "65536"},
        {"--pid 1,,2", "1,,2"},
        {"--pid 1x", "1x"},
        {"--quiet=yes", "--quiet"},
        {"--frames 2 --seconds 2", "--seconds"},
        {"--clients 0", "--idle"},
        {"--clients 0 --idle 2 --rate 5", "--rate"},
        {"--connect-per-message --rate 5", "--rate"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct options options;
        char why[256];

        assert_int_equal(parse(&options, why, wrong[i].line), OPTIONS_WRONG);
        if (!strstr(why, wrong[i].named))
            fail_msg("'%s' gave '%s'", wrong[i].line, why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histogram_of_nothing_is_zero),
        cmocka_unit_test(histogram_quantiles_are_near_those_of_a_sorted_list),
        cmocka_unit_test(histogram_takes_the_ends_of_the_range),
        cmocka_unit_test(pattern_parts_make_the_same_frame_as_the_whole),
        cmocka_unit_test(pattern_sizes_include_both_ends_and_stay_between),
        cmocka_unit_test(pattern_of_another_client_or_place_in_order_differs),
        cmocka_unit_test(pattern_of_text_has_letters_and_digits_only),
        cmocka_unit_test(options_that_are_right_are_taken),
        cmocka_unit_test(options_that_are_wrong_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
