// Goal: a configuration becomes exactly the processes that the contract between them names.
// Method: commands word by word, automatic counts for every small host, whole argument vectors and
// environments compared; random commands against what can be said of any result.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "plan.h"

static void expect_words(const char *text, const char *const *words, size_t count)
{
    struct plan_command command;
    const char *why = NULL;

    if (plan_command_split(text, &command, &why) < 0)
        fail_msg("'%s': %s", text, why);
    assert_int_equal(command.count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(command.words[i], words[i]);
    assert_null(command.words[count]);
}

#define EXPECT_WORDS(text, ...)                                                                    \
    expect_words(text, (const char *const[]){__VA_ARGS__},                                         \
                 ARRAY_COUNT(((const char *const[]){__VA_ARGS__})))

static void plan_command_words_and_quotes(void **unused)
{
    (void)unused;
    EXPECT_WORDS("troupe-echo", "troupe-echo");
    EXPECT_WORDS(" \ttroupe-echo\t --fast  -x ", "troupe-echo", "--fast", "-x");
    EXPECT_WORDS("\"C:\\Program Files\\my worker.exe\" a", "C:\\Program Files\\my worker.exe", "a");
    EXPECT_WORDS("w --name=\"a b\"c", "w", "--name=a bc");
    EXPECT_WORDS("w \"\" x", "w", "", "x");
    EXPECT_WORDS("w \"\"\"\"", "w", "");
    EXPECT_WORDS("w 'a b' \\", "w", "'a", "b'", "\\");
    EXPECT_WORDS("w \"a\tb\"", "w", "a\tb");
}

static void expect_bad(const char *text, const char *expected_why)
{
    struct plan_command command = {.count = 77};
    const char *why = NULL;

    assert_int_equal(plan_command_split(text, &command, &why), -EINVAL);
    assert_string_equal(why, expected_why);
    assert_int_equal(command.count, 77);
}

static void plan_command_wrong_says_why_and_leaves_output(void **unused)
{
    char text[CONFIG_TEXT_MAX + 1];

    (void)unused;
    expect_bad("", "it names no program");
    expect_bad(" \t ", "it names no program");
    expect_bad("\"\" x", "it names no program");
    expect_bad("w \"a b", "a quote (\") is not closed");
    expect_bad("\"", "a quote (\") is not closed");
    memset(text, 'x', CONFIG_TEXT_MAX);
    text[CONFIG_TEXT_MAX] = '\0';
    expect_bad(text, "it is too long");
}

static void plan_command_at_its_limits(void **unused)
{
    char text[CONFIG_TEXT_MAX] = "";
    struct plan_command command;
    const char *why = NULL;

    (void)unused;
    for (int i = 0; i < PLAN_WORDS_MAX; i++)
        strcat(text, "w ");
    assert_int_equal(plan_command_split(text, &command, &why), 0);
    assert_int_equal(command.count, PLAN_WORDS_MAX);
    strcat(text, "w");
    expect_bad(text, "it has more than 64 words");

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(plan_command_split(text, &command, &why), 0);
    assert_string_equal(command.words[0], text);
}

static void plan_command_random_texts_stay_inside(void **unused)
{
    static const char letters[] = "ab \t\"\\'";
    uint64_t random = 7;

    (void)unused;
    for (int round = 0; round < 20000; round++) {
        char text[64];
        size_t size;
        size_t sum = 0;
        size_t kept = 0;
        bool quoted = false;
        struct plan_command command;
        const char *why = NULL;

        random = random * 6364136223846793005u + 1442695040888963407u;
        size = (random >> 33) % (sizeof(text) - 1);
        for (size_t i = 0; i < size; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            text[i] = letters[(random >> 40) % (sizeof(letters) - 1)];
            quoted ^= text[i] == '"';
            kept += text[i] != '"' && (quoted || (text[i] != ' ' && text[i] != '\t'));
        }
        text[size] = '\0';
        if (plan_command_split(text, &command, &why) < 0) {
            assert_non_null(why);
            continue;
        }
        assert_false(quoted);
        for (size_t i = 0; i < command.count; i++)
            sum += strlen(command.words[i]);
        if (sum != kept)
            fail_msg("round %d: '%s': %zu bytes in words, expected %zu", round, text, sum, kept);
    }
}

static void plan_counts_follow_cores_unless_set(void **unused)
{
    struct config config;

    (void)unused;
    memset(&config, 0, sizeof(config));
    config.gateway.shards = CONFIG_AUTO;
    config.workers.count = CONFIG_AUTO;
    config.gateway.max_sessions = 10000;
    assert_int_equal(plan_shards(&config, 0), 1);
    assert_int_equal(plan_workers(&config, 0), 1);
    for (uint32_t cores = 1; cores <= 256; cores++) {
        assert_int_equal(plan_shards(&config, cores), cores < 8 ? 1 : cores / 4);
        assert_int_equal(plan_workers(&config, cores), cores);
    }
    assert_int_equal(plan_shards(&config, 1000), PLAN_SHARDS_MAX);
    assert_int_equal(plan_workers(&config, 1000), PLAN_WORKERS_MAX);
    config.gateway.max_sessions = 2;
    assert_int_equal(plan_shards(&config, 64), 2);
    config.gateway.shards = 3;
    config.workers.count = 7;
    assert_int_equal(plan_shards(&config, 64), 3);
    assert_int_equal(plan_workers(&config, 64), 7);
}

static void make_plan(struct plan *plan, struct config *config, struct plan_command *command)
{
    static const char *const arguments[] = {"--config", "my node.yaml", "--gateway.shards=auto"};
    const char *why = NULL;
    const struct plan_input input = {
        .config = config,
        .cores = 12,
        .gateway_program = "/bin/troupe-gateway",
        .arguments = arguments,
        .argument_count = ARRAY_COUNT(arguments),
        .worker_program = "/bin/troupe-echo",
        .command = command,
        .link = "ipc:///run/x/local",
        .token = "00112233",
    };

    memset(config, 0, sizeof(*config));
    config->gateway.max_sessions = 100;
    config->workers.count = 2;
    config->node.log_level = LOG_WARN;
    strcpy(config->node.log_file, "/var/log/troupe.log");
    assert_int_equal(plan_command_split("troupe-echo \"a b\" \"\"", command, &why), 0);
    assert_int_equal(plan_create(plan, &input), 0);
}

static void expect_list(const struct plan_list *list, const char *const *texts, size_t count)
{
    assert_int_equal(list->count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(list->items[i], texts[i]);
    assert_null(list->items[count]);
}

#define EXPECT_LIST(list, ...)                                                                     \
    expect_list(list, (const char *const[]){__VA_ARGS__},                                          \
                ARRAY_COUNT(((const char *const[]){__VA_ARGS__})))

static void plan_processes_are_those_of_the_contract(void **unused)
{
    struct plan_command command;
    struct config config;
    struct plan plan;

    (void)unused;
    make_plan(&plan, &config, &command);
    assert_int_equal(plan.shards, 3);
    assert_int_equal(plan.worker_count, 2);
    EXPECT_LIST(&plan.gateway.arguments, "/bin/troupe-gateway", "--config", "my node.yaml",
                "--gateway.shards=auto", "--gateway.shards=3");
    EXPECT_LIST(&plan.gateway.environment, "TROUPE_TOKEN=00112233");
    EXPECT_LIST(&plan.workers[1].arguments, "/bin/troupe-echo", "a b", "");
    EXPECT_LIST(&plan.workers[0].environment, "TROUPE_TOKEN=00112233",
                "TROUPE_LINK=ipc:///run/x/local", "TROUPE_SHARDS=3", "TROUPE_WORKER=0",
                "TROUPE_LOG_FILE=/var/log/troupe.log", "TROUPE_LOG_LEVEL=warn");
    EXPECT_LIST(&plan.workers[1].environment, "TROUPE_TOKEN=00112233",
                "TROUPE_LINK=ipc:///run/x/local", "TROUPE_SHARDS=3", "TROUPE_WORKER=1",
                "TROUPE_LOG_FILE=/var/log/troupe.log", "TROUPE_LOG_LEVEL=warn");
    plan_destroy(&plan);
    plan_destroy(&plan); // again is harmless
}

static void plan_fixed_listen_goes_last_and_once(void **unused)
{
    struct plan_command command;
    struct config config;
    struct plan plan;

    (void)unused;
    make_plan(&plan, &config, &command);
    assert_int_equal(plan_fix_listen(&plan, "127.0.0.1:4711"), 0);
    assert_int_equal(plan_fix_listen(&plan, "127.0.0.1:4711"), 0);
    EXPECT_LIST(&plan.gateway.arguments, "/bin/troupe-gateway", "--config", "my node.yaml",
                "--gateway.shards=auto", "--gateway.shards=3", "--gateway.listen=127.0.0.1:4711");
    plan_destroy(&plan);
}

static void plan_print_comments_every_line_and_hides_the_token(void **unused)
{
    FILE *file = tmpfile();
    struct plan_command command;
    struct config config;
    struct plan plan;
    char line[1024];
    bool quoted = false;

    (void)unused;
    if (!file) // a Windows user may not write where its tmpfile() wants to
        skip();
    make_plan(&plan, &config, &command);
    plan_print(&plan, file);
    plan_destroy(&plan);
    rewind(file);
    while (fgets(line, sizeof(line), file)) {
        assert_true(line[0] == '#' || strcmp(line, "\n") == 0);
        assert_null(strstr(line, "00112233"));
        quoted = quoted || strstr(line, "/bin/troupe-echo \"a b\" \"\"") != NULL;
    }
    fclose(file);
    assert_true(quoted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_command_words_and_quotes),
        cmocka_unit_test(plan_command_wrong_says_why_and_leaves_output),
        cmocka_unit_test(plan_command_at_its_limits),
        cmocka_unit_test(plan_command_random_texts_stay_inside),
        cmocka_unit_test(plan_counts_follow_cores_unless_set),
        cmocka_unit_test(plan_processes_are_those_of_the_contract),
        cmocka_unit_test(plan_fixed_listen_goes_last_and_once),
        cmocka_unit_test(plan_print_comments_every_line_and_hides_the_token),
    };

    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
