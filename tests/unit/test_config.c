// Goal: a configuration is understood exactly or refused with file, line, key and what is allowed.
// Method: every key at its limits, tables of wrong files with the whole message, print and load as
// a round trip, damaged files from a fixed seed, and the sample file against the defaults.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "config_keys.h"
#include "os.h"

#define PRINTED "scratch/test_config.yaml"

enum { SEED = 77, ROUNDS = 20000, TEXT_MAX = 32 * 1024 };

static struct config config;
static struct config_error error;

static int load(const char *text)
{
    config_init(&config);
    error.text[0] = '\0';
    return config_load_text(&config, "t.yaml", text, strlen(text), &error);
}

static int set(const char *assignment)
{
    config_init(&config);
    error.text[0] = '\0';
    return config_set(&config, assignment, assignment, &error);
}

static void read_file(const char *path, char out[TEXT_MAX])
{
    FILE *file = fopen(path, "r");
    size_t size;

    if (file == NULL)
        fail_msg("'%s' cannot be read", path);
    size = fread(out, 1, TEXT_MAX - 1, file);
    out[size] = '\0';
    fclose(file);
}

static void print_text(const struct config *from, char out[TEXT_MAX])
{
    FILE *file = fopen(PRINTED, "w");

    assert_non_null(file);
    config_print(from, file);
    assert_int_equal(fclose(file), 0);
    read_file(PRINTED, out);
}

static void config_defaults_are_those_of_the_contract(void **unused)
{
    char text[ADDR_TEXT_MAX];

    (void)unused;
    config_init(&config);
    assert_string_equal(config.node.name, "local");
    assert_string_equal(config.node.runtime_dir, "");
    assert_string_equal(config.node.log_file, "");
    assert_int_equal(config.node.log_level, LOG_INFO);
    assert_int_equal(config.node.stop_timeout_ms, 10000);
    assert_string_equal(addr_text(&config.gateway.listen, text), "127.0.0.1:7777");
    assert_string_equal(config.gateway.frame, "rookiss");
    assert_int_equal(config.gateway.shards, 1);
    assert_int_equal(config.gateway.accepts, 64);
    assert_int_equal(config.gateway.max_sessions, 10000);
    assert_int_equal(config.gateway.max_frame_bytes, 65536);
    assert_int_equal(config.gateway.inbox_max_frames, 256);
    assert_int_equal(config.gateway.inbox_max_bytes, 262144);
    assert_int_equal(config.gateway.outbox_max_bytes, 1048576);
    assert_int_equal(config.gateway.idle_timeout_ms, 0);
    assert_int_equal(config.gateway.linger_timeout_ms, 2000);
    assert_int_equal(config.gateway.turn_timeout_ms, 5000);
    assert_int_equal(config.gateway.heartbeat_ms, 1000);
    assert_string_equal(config.workers.command, "troupe-echo");
    assert_int_equal(config.workers.count, CONFIG_AUTO);
    assert_true(config.admin.enabled);
    assert_string_equal(addr_text(&config.admin.listen, text), "127.0.0.1:7780");
    assert_int_equal(config_check(&config, &error), 0);
    assert_true(strlen(config.node.runtime_dir) > 0);
}

static void config_file_of_two_levels_is_read(void **unused)
{
    char text[ADDR_TEXT_MAX];

    (void)unused;
    assert_int_equal(load("# a comment\n"
                          "node: { name: A-b_9, log_level: debug }\n"
                          "gateway:\n"
                          "  listen: '*:0'\n"
                          "  shards: auto\n"
                          "  frame: \"length:offset=2,width=4\"\n"
                          "workers:\n"
                          "  command: \"C:\\\\dir\\\\w.exe --x \\\"a b\\\"\"\n"
                          "  count: 3\n"
                          "admin:\n"
                          "  listen: off\n"),
                     0);
    assert_string_equal(config.node.name, "A-b_9");
    assert_int_equal(config.node.log_level, LOG_DEBUG);
    assert_string_equal(addr_text(&config.gateway.listen, text), "[::]:0");
    assert_int_equal(config.gateway.shards, CONFIG_AUTO);
    assert_string_equal(config.gateway.frame, "length:offset=2,width=4");
    assert_string_equal(config.workers.command, "C:\\dir\\w.exe --x \"a b\"");
    assert_int_equal(config.workers.count, 3);
    assert_false(config.admin.enabled);
}

static void config_empty_files_and_sections_are_fine(void **unused)
{
    static const char *const texts[] = {
        "",
        "\n",
        "# only\n# comments\n",
        "---\n",
        "---\n...\n",
        "{}",
        "node:\n",
        "node: {}\n",
        "node:\n  # name: x\ngateway:\n",
        "\xEF\xBB\xBFnode:\n",
        "node:\r\n  name: x\r\n",
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        if (load(texts[i]) != 0)
            fail_msg("text %zu: %s", i, error.text);
    }
}

static void config_wrong_file_names_line_key_and_what_is_allowed(void **unused)
{
    static const char *const table[][2] = {
        {"gateway:\n  shards: 0", "t.yaml:2: gateway.shards: '0' is not allowed: auto, or 1 to 64"},
        {"gateway:\n\n  shards: 65",
         "t.yaml:3: gateway.shards: '65' is not allowed: auto, or 1 to 64"},
        {"gateway: {accepts: auto}", "t.yaml:1: gateway.accepts: 'auto' is not allowed: 1 to 1024"},
        {"gateway: {max_frame_bytes: 64k}",
         "t.yaml:1: gateway.max_frame_bytes: '64k' is not allowed: 1 to 16777216 bytes"},
        {"gateway: {heartbeat_ms: 9}",
         "t.yaml:1: gateway.heartbeat_ms: '9' is not allowed: 10 to 60000 ms"},
        {"node: {name: a b}",
         "t.yaml:1: node.name: 'a b' is not allowed: 1 to 63 letters, digits, '-' and '_'"},
        {"node: {log_level: INFO}",
         "t.yaml:1: node.log_level: 'INFO' is not allowed: debug, info, warn or error"},
        {"node: {log_file: \"a\\nb\"}",
         "t.yaml:1: node.log_file: 'a?b' is not allowed: a text of 0 to 511 bytes (it has a byte "
         "that cannot be printed)"},
        {"workers: {command: ''}",
         "t.yaml:1: workers.command: '' is not allowed: a text of 1 to 511 bytes"},
        {"gateway: {listen: localhost:1}",
         "t.yaml:1: gateway.listen: 'localhost:1' is not allowed: host:port, such as "
         "127.0.0.1:7777 or [::]:7777 (the host is not an IP address (names are not looked up))"},
        {"admin: {listen: 'on'}",
         "t.yaml:1: admin.listen: 'on' is not allowed: off, or host:port, such as 127.0.0.1:7777 "
         "(the port is missing: write host:port)"},
        {"gateway: {listen: 'off'}",
         "t.yaml:1: gateway.listen: 'off' is not allowed: host:port, such as 127.0.0.1:7777 or "
         "[::]:7777 (the port is missing: write host:port)"},
        {"gateway: {shard: 2}", "t.yaml:1: unknown key 'gateway.shard': did you mean "
                                "'gateway.shards'?"},
        {"node: {xyzzy: 2}", "t.yaml:1: unknown key 'node.xyzzy': --help lists all that there are"},
        {"nodes:\n", "t.yaml:1: unknown section 'nodes': node, gateway, workers and admin are "
                     "known"},
        {"gateway.shards: 2", "t.yaml:1: unknown section 'gateway.shards': node, gateway, workers "
                              "and admin are known"},
        {"node:\n  name: a\n  log_level: info\n  name: b",
         "t.yaml:4: node.name: given twice, first in line 2"},
        {"node:\ngateway:\nnode:\n", "t.yaml:3: section 'node' is given twice"},
        {"node:\n  name:\n", "t.yaml:2: node.name: the value is missing"},
        {"node: {name: ~}", "t.yaml:1: node.name: the value is missing"},
        {"node: {name: null}", "t.yaml:1: node.name: the value is missing"},
        {"node: 5", "t.yaml:1: section 'node' holds keys, not a value"},
        {"node: {name: {a: b}}", "t.yaml:1: node.name: a value is expected, not keys of its own"},
        {"node: {name: [a]}",
         "t.yaml:1: node.name: a list is not allowed: a value is one text or number"},
        {"- node", "t.yaml:1: a list is not allowed: a value is one text or number"},
        {"node: [a]", "t.yaml:1: a list is not allowed: a value is one text or number"},
        {"node: {name: &x a}", "t.yaml:1: node.name: an anchor ('&') is not allowed"},
        {"&x node: {}", "t.yaml:1: an anchor ('&') is not allowed"},
        {"node: &x {}", "t.yaml:1: an anchor ('&') is not allowed"},
        {"node: {name: *x}", "t.yaml:1: node.name: an alias ('*') is not allowed: write the value"},
        {"gateway: {shards: !!int 2}", "t.yaml:1: gateway.shards: a tag ('!') is not allowed"},
        {"gateway: !x {}", "t.yaml:1: a tag ('!') is not allowed"},
        {"hello", "t.yaml:1: sections are expected, such as 'gateway:'"},
        {"{a: b}: c", "t.yaml:1: a section's name is a plain text"},
        {"node: {{a: b}: c}", "t.yaml:1: a key is a plain text"},
        {"node:\n---\nnode:\n", "t.yaml:2: a second document is not allowed"},
        {"node:\n\tname: x", "t.yaml:2: not valid YAML: found character that cannot start any "
                             "token"},
        {"node: {name: 'x", "t.yaml:1: not valid YAML: found unexpected end of stream"},
        {"# x\nnode: {name: \xFF}", "t.yaml:2: not valid YAML: invalid leading UTF-8 octet"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        assert_int_equal(load(table[i][0]), -EINVAL);
        assert_string_equal(error.text, table[i][1]);
    }
}

static void config_zero_byte_in_a_value_is_refused(void **unused)
{
    (void)unused;
    assert_int_equal(load("workers: {command: \"a\\0b\"}"), -EINVAL);
    assert_non_null(strstr(error.text, "'a?b' is not allowed"));
    assert_int_equal(load("gateway: {listen: \"1.2.3.4:5\\0x\"}"), -EINVAL);
    assert_int_equal(load("gateway: {shards: \"1\\0\"}"), -EINVAL);
    assert_int_equal(load("node: {log_level: \"info\\0\"}"), -EINVAL);
    assert_int_equal(load("node: {\"name\\0\": x}"), -EINVAL);
}

// Each number at its limits and just beyond them, and written in ways that are not ours.
static void config_numbers_have_limits(void **unused)
{
    static const char *const wrong[] = {"",
                                        " ",
                                        "-1",
                                        "+1",
                                        "01",
                                        "0x1",
                                        "1.0",
                                        "1e3",
                                        "1 ",
                                        " 1",
                                        "1_0",
                                        "4294967296",
                                        "18446744073709551617",
                                        "99999999999999999999999999",
                                        "AUTO",
                                        "\xC2\xB2"};
    size_t count;
    const struct config_key *keys = config_keys(&count);

    (void)unused;
    for (size_t i = 0; i < count; i++) {
        const struct config_key *key = &keys[i];
        const uint64_t limits[] = {key->min, key->max, (uint64_t)key->max + 1};
        char text[128];
        uint32_t number;

        if (key->type != CONFIG_NUMBER && key->type != CONFIG_NUMBER_OR_AUTO)
            continue;
        for (size_t j = 0; j < 3; j++) {
            snprintf(text, sizeof(text), "%s.%s=%llu", key->section, key->name,
                     (unsigned long long)limits[j]);
            assert_int_equal(set(text), j < 2 ? 0 : -EINVAL);
            memcpy(&number, (char *)&config + key->offset, sizeof(number));
            if (j < 2)
                assert_int_equal(number, limits[j]);
        }
        snprintf(text, sizeof(text), "%s.%s=%u", key->section, key->name, (unsigned)key->min - 1u);
        assert_int_equal(set(text), -EINVAL); // below, or 4294967295
        for (size_t j = 0; j < ARRAY_COUNT(wrong); j++) {
            snprintf(text, sizeof(text), "%s.%s=%s", key->section, key->name, wrong[j]);
            assert_int_equal(set(text), -EINVAL);
        }
        snprintf(text, sizeof(text), "%s.%s=auto", key->section, key->name);
        assert_int_equal(set(text), key->type == CONFIG_NUMBER_OR_AUTO ? 0 : -EINVAL);
    }
}

static void config_texts_have_limits(void **unused)
{
    char text[CONFIG_TEXT_MAX + 64] = "workers.command=";
    size_t start = strlen(text);

    (void)unused;
    memset(text + start, 'x', CONFIG_TEXT_MAX - 1);
    assert_int_equal(set(text), 0);
    assert_int_equal(strlen(config.workers.command), CONFIG_TEXT_MAX - 1);
    text[start + CONFIG_TEXT_MAX - 1] = 'x';
    assert_int_equal(set(text), -EINVAL);
    assert_non_null(strstr(error.text, "xxx...' is not allowed"));
    assert_int_equal(set("node.log_file="), 0);
    assert_int_equal(set("node.name="), -EINVAL);
    assert_int_equal(set("node.log_file=\xED\x95\x9C/\xC3\xA9"), 0);
    assert_int_equal(set("node.log_file=\xFF"), -EINVAL);
    assert_int_equal(set("node.log_file=a\tb"), -EINVAL);
    memset(text, 'n', sizeof(text));
    memcpy(text, "node.name=", 10);
    text[10 + 63] = '\0';
    assert_int_equal(set(text), 0);
    text[10 + 63] = 'n';
    text[10 + 64] = '\0';
    assert_int_equal(set(text), -EINVAL);
}

static void config_set_wrong_key_is_refused(void **unused)
{
    static const char *const table[][2] = {
        {"gateway.shards", "gateway.shards: the value is missing: write gateway.shards=VALUE"},
        {"gateway.sharts=1", "gateway.sharts=1: unknown key 'gateway.sharts': did you mean "
                             "'gateway.shards'?"},
        {"gatway.shards=1", "gatway.shards=1: unknown key 'gatway.shards': did you mean "
                            "'gateway.shards'?"},
        {"=1", "=1: unknown key '': --help lists all that there are"},
        {"", ": unknown key '': --help lists all that there are"},
        {".", ".: unknown key '.': --help lists all that there are"},
        {"node=1", "node=1: unknown key 'node': --help lists all that there are"},
        {"node.=1", "node.=1: unknown key 'node.': --help lists all that there are"},
        {"a=b.c", "a=b.c: unknown key 'a': --help lists all that there are"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        assert_int_equal(set(table[i][0]), -EINVAL);
        assert_string_equal(error.text, table[i][1]);
    }
}

static void config_check_rules_that_span_keys(void **unused)
{
    (void)unused;
    assert_int_equal(load("gateway: {max_frame_bytes: 1048576}"), 0);
    assert_int_equal(config_check(&config, &error), -EINVAL);
    assert_non_null(strstr(error.text, "gateway.outbox_max_bytes"));
    assert_int_equal(load("gateway: {max_frame_bytes: 1048576, outbox_max_bytes: 1048608}"), 0);
    assert_int_equal(config_check(&config, &error), 0);
    assert_int_equal(load("gateway: {max_frame_bytes: 1048576, outbox_max_bytes: 1048607}"), 0);
    assert_int_equal(config_check(&config, &error), -EINVAL);
    assert_int_equal(load("gateway: {shards: 3, max_sessions: 2}"), 0);
    assert_int_equal(config_check(&config, &error), -EINVAL);
    assert_int_equal(load("node: {runtime_dir: here}"), 0);
    assert_int_equal(config_check(&config, &error), 0);
    assert_string_equal(config.node.runtime_dir, "here");
}

static void config_print_reads_back_to_the_same(void **unused)
{
    static char first[TEXT_MAX], second[TEXT_MAX];

    (void)unused;
    assert_int_equal(
        load("node: {name: x, runtime_dir: \"a 'b' \\\"c\\\" \\\\ # : {} \xED\x95\x9C\"}\n"
             "gateway: {shards: auto, listen: \"[::1]:9\", frame: '- x', idle_timeout_ms: 7}\n"
             "workers: {command: ' blank ', count: 256}\n"
             "admin: {listen: off}\n"),
        0);
    print_text(&config, first);
    config_init(&config);
    assert_int_equal(config_load(&config, PRINTED, &error), 0);
    assert_string_equal(config.workers.command, " blank ");
    assert_string_equal(config.node.runtime_dir, "a 'b' \"c\" \\ # : {} \xED\x95\x9C");
    print_text(&config, second);
    assert_string_equal(first, second);
}

// Each line that is no comment of its own must stand in the sample with a '#' before the key.
static void config_sample_is_every_default_commented_out(void **unused)
{
    static char sample[TEXT_MAX], printed[TEXT_MAX], expected[TEXT_MAX];
    char *to = expected;
    const char *body;

    (void)unused;
    config_init(&config);
    print_text(&config, printed);
    for (const char *line = printed; *line != '\0';) {
        size_t size = strcspn(line, "\n") + 1;
        bool is_key = strncmp(line, "  ", 2) == 0 && line[2] != '#';

        to += sprintf(to, "%s%.*s", is_key ? "  #" : "", (int)(is_key ? size - 2 : size),
                      is_key ? line + 2 : line);
        line += size;
    }
    read_file(TROUPE_SAMPLE, sample);
    body = strstr(sample, "node:\n");
    assert_non_null(body);
    assert_string_equal(body, expected);
    config_init(&config);
    assert_int_equal(config_load(&config, TROUPE_SAMPLE, &error), 0);
    print_text(&config, expected);
    assert_string_equal(printed, expected);
}

static void config_file_that_cannot_be_read_is_an_error(void **unused)
{
    char *large = malloc(1024 * 1024 + 1);

    (void)unused;
    config_init(&config);
    assert_int_equal(config_load(&config, "scratch/none.yaml", &error), -ENOENT);
    assert_string_equal(error.text, "scratch/none.yaml: cannot be read: no such file or folder");
    assert_true(config_load(&config, "scratch", &error) < 0);
    assert_non_null(strstr(error.text, "scratch: cannot be read: "));
    assert_non_null(large);
    memset(large, '#', 1024 * 1024 + 1);
    assert_int_equal(config_load_text(&config, "x", large, 1024 * 1024, &error), 0);
    assert_int_equal(config_load_text(&config, "x", large, 1024 * 1024 + 1, &error), -EINVAL);
    assert_non_null(strstr(error.text, "1048576 bytes"));
    free(large);
}

static void config_long_names_do_not_hide_the_reason(void **unused)
{
    char name[1000];

    (void)unused;
    memset(name, 'p', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    config_init(&config);
    assert_int_equal(config_load_text(&config, name, "x: 1", 4, &error), -EINVAL);
    assert_non_null(strstr(error.text, ":1: unknown section 'x'"));
    assert_int_equal(config_load_text(&config, "t", name, sizeof(name) - 1, &error), -EINVAL);
}

static void arguments_leave_what_is_not_ours(void **unused)
{
    char *arguments[] = {(char *)"troupe",
                         (char *)"up",
                         (char *)"--gateway.shards=2",
                         (char *)"--json",
                         (char *)"--config",
                         (char *)PRINTED,
                         (char *)"--gateway.shards=3",
                         (char *)"-x",
                         (char *)"--",
                         (char *)"--gateway.shards=4",
                         NULL};
    int count = 10;
    static char text[TEXT_MAX];

    (void)unused;
    assert_int_equal(load("gateway: {shards: 9, accepts: 9}"), 0);
    print_text(&config, text);
    config_init(&config);
    assert_int_equal(config_from_arguments(&config, &count, arguments, &error), 0);
    assert_int_equal(config.gateway.shards, 3); // over the file, the last one counts
    assert_int_equal(config.gateway.accepts, 9);
    assert_int_equal(count, 6);
    assert_string_equal(arguments[1], "up");
    assert_string_equal(arguments[2], "--json");
    assert_string_equal(arguments[3], "-x");
    assert_string_equal(arguments[4], "--");
    assert_string_equal(arguments[5], "--gateway.shards=4");
    assert_null(arguments[6]);
}

static void expect_arguments(const char *first, const char *second, const char *third,
                             const char *text)
{
    char *arguments[] = {(char *)"t", (char *)(uintptr_t)first, (char *)(uintptr_t)second,
                         (char *)(uintptr_t)third, NULL};
    int count = 1 + (first != NULL) + (second != NULL) + (third != NULL);

    config_init(&config);
    assert_true(config_from_arguments(&config, &count, arguments, &error) < 0);
    assert_string_equal(error.text, text);
}

static void arguments_that_are_wrong_are_refused(void **unused)
{
    char *alone[] = {NULL};
    int none = 0;

    (void)unused;
    expect_arguments("--config", NULL, NULL, "--config: the file's name is missing");
    expect_arguments("--config=", NULL, NULL, "--config: the file's name is missing");
    expect_arguments("--config=a", "--config", "b", "--config: given twice");
    expect_arguments("--config=scratch/none", NULL, NULL,
                     "scratch/none: cannot be read: no such file or folder");
    expect_arguments("--gateway.shards=x", NULL, NULL,
                     "--gateway.shards=x: gateway.shards: 'x' is not allowed: auto, or 1 to 64");
    expect_arguments("--gateway.shards", "2", NULL,
                     "--gateway.shards: the value is missing: write gateway.shards=VALUE");
    expect_arguments("--a.b", NULL, NULL,
                     "--a.b: unknown key 'a.b': --help lists all that there are");
    config_init(&config);
    assert_int_equal(config_from_arguments(&config, &none, alone, &error), 0);
    assert_int_equal(none, 0);
}

// Damaged files are refused or understood; what is understood prints and reads back to the same.
static void config_damaged_files_do_no_harm(void **unused)
{
    static const char bytes[] = "\n :{}[]'\"#-,&*!|>%?~0a\t\\\xFF\xED";
    static char whole[TEXT_MAX], text[TEXT_MAX];
    uint32_t state = SEED;
    size_t size;
    int fine = 0;

    (void)unused;
    print_message("seed %d\n", SEED);
    config_init(&config);
    print_text(&config, whole);
    size = strlen(whole);
    for (int i = 0; i < ROUNDS; i++) {
        size_t length = size;

        memcpy(text, whole, size);
        for (int j = i % 4; j >= 0; j--) {
            state = state * 1664525u + 1013904223u;
            text[state % size] = bytes[(state >> 16) % (sizeof(bytes) - 1)];
        }
        if (i % 3 == 0)
            length = state % size;
        config_init(&config);
        error.text[0] = '\0';
        if (config_load_text(&config, "t", text, length, &error) == 0)
            fine++;
        else
            assert_true(strlen(error.text) > 3 && strchr(error.text, '\n') == NULL);
    }
    assert_true(fine > 0 && fine < ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_defaults_are_those_of_the_contract),
        cmocka_unit_test(config_file_of_two_levels_is_read),
        cmocka_unit_test(config_empty_files_and_sections_are_fine),
        cmocka_unit_test(config_wrong_file_names_line_key_and_what_is_allowed),
        cmocka_unit_test(config_zero_byte_in_a_value_is_refused),
        cmocka_unit_test(config_numbers_have_limits),
        cmocka_unit_test(config_texts_have_limits),
        cmocka_unit_test(config_set_wrong_key_is_refused),
        cmocka_unit_test(config_check_rules_that_span_keys),
        cmocka_unit_test(config_print_reads_back_to_the_same),
        cmocka_unit_test(config_sample_is_every_default_commented_out),
        cmocka_unit_test(config_file_that_cannot_be_read_is_an_error),
        cmocka_unit_test(config_long_names_do_not_hide_the_reason),
        cmocka_unit_test(arguments_leave_what_is_not_ours),
        cmocka_unit_test(arguments_that_are_wrong_are_refused),
        cmocka_unit_test(config_damaged_files_do_no_harm),
    };

    os_init();
    if (os_make_private_folder("scratch") != 0)
        return 1;
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
