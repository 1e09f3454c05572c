// Goal: what is wrong with a start is said in a clear line and an exit code, and nothing is left
// running. Method: start the programs with the mistake and read what they say.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "live.h"
#include "peer.h"

static char folder[OS_PATH_MAX];
static char runtime_dir[OS_PATH_MAX + 32];
static char error[16384];

static int setup(void **state)
{
    char program_folder[OS_PATH_MAX];

    (void)state;
    assert_int_equal(os_program_folder(program_folder), 0);
    snprintf(folder, sizeof folder, "%.900s/e2e", program_folder);
    assert_int_equal(os_make_private_folder(folder), 0);
    snprintf(runtime_dir, sizeof runtime_dir, "--node.runtime_dir=%.900s", folder);
    return 0;
}

// Starts `troupe up` with these options, which must fail with that code and say all those texts.
static void fails(int code, const char *const *options, const char *const *texts)
{
    const char *arguments[32] = {"troupe", "up", runtime_dir, "--node.name=e2e-start"};
    size_t count = 4;
    int got;

    for (; *options; options++)
        arguments[count++] = *options;
    arguments[count] = NULL;
    got = run_to_end(arguments, error, sizeof error);
    if (got != code)
        fail_msg("exit code %d instead of %d: %s", got, code, error);
    for (; *texts; texts++)
        if (!strstr(error, *texts))
            fail_msg("'%s' is not said: %s", *texts, error);
}

#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void write_config(char path[OS_PATH_MAX], const char *text)
{
    FILE *file;

    snprintf(path, OS_PATH_MAX, "%.900s/e2e-start-%llu.yaml", folder,
             (unsigned long long)os_process_id());
    file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void wrong_file(const char *text, const char *const *said)
{
    char path[OS_PATH_MAX];

    write_config(path, text);
    fails(2, OPTIONS("--config", path), said);
    remove(path);
}

static void configuration_errors_name_file_line_and_key(void **state)
{
    (void)state;
    wrong_file("gateway:\n  listen: 127.0.0.1:0\n  shards: -1\n",
               OPTIONS(".yaml:3", "gateway.shards", "-1", "auto"));
    wrong_file("gateway: { listen: \"127.0.0.1:0\",\n  speed: 9 }\n", OPTIONS(".yaml:2", "speed"));
    wrong_file("node:\n  name: a\nnode:\n  name: b\n", OPTIONS(".yaml:3", "node"));
    wrong_file("gateway:\n  listen: 127.0.0.1\n", OPTIONS(".yaml:2", "gateway.listen"));
    wrong_file("gateway:\n  - a\n", OPTIONS(".yaml:2", "list"));
    wrong_file("gateway: [\n", OPTIONS(".yaml:"));
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    fails(2, OPTIONS("--gateway.shards=many"), OPTIONS("--gateway.shards", "many"));
    fails(2, OPTIONS("--gateway.colour=red"), OPTIONS("gateway.colour"));
    fails(2, OPTIONS("--gateway.frame=morse"), OPTIONS("gateway.frame", "morse"));
    fails(2, OPTIONS("--gateway.listen=127.0.0.1:99999"), OPTIONS("gateway.listen", "99999"));
    fails(2, OPTIONS("sideways"), OPTIONS("sideways"));
    fails(2, OPTIONS("--config", "there-is-no-such-file.yaml"),
          OPTIONS("there-is-no-such-file.yaml"));
}

static void missing_worker_program_is_named(void **state)
{
    (void)state;
    fails(2, OPTIONS("--workers.command=no-such-worker", "--gateway.listen=127.0.0.1:0"),
          OPTIONS("no-such-worker", "not found"));
}

static void closed(struct port_op *op)
{
    (void)op;
}

static void port_in_use_is_named(void **state)
{
    struct net_addr any, bound;
    net_socket listener;
    struct port *port;
    char option[ADDR_TEXT_MAX + 32], text[ADDR_TEXT_MAX];
    struct port_op close_op = {0};

    (void)state;
    assert_int_equal(addr_parse("127.0.0.1:0", &any, NULL), 0);
    assert_int_equal(port_create(&port, &(struct port_config){.op_count_max = 4}), 0);
    assert_int_equal(port_listen(port, &any, 4, &listener), 0);
    assert_int_equal(port_addr_local(listener, &bound), 0);
    addr_text(&bound, text);
    snprintf(option, sizeof option, "--gateway.listen=%s", text);
    fails(1, OPTIONS(option, "--workers.command=e2e-moody"), OPTIONS(text, "in use"));
    close_op.done = closed;
    port_close(port, &close_op, listener, PORT_CLOSE_RESET);
    while (port_in_flight(port) > 0)
        assert_true(port_poll(port, 1000) >= 0);
    port_destroy(port);
}

// Linux has a file for it; elsewhere there is none to try with.
static void full_disk_for_logs_is_said_once_and_the_node_goes_on(void **state)
{
    const char *options[] = {"--node.log_file=/dev/full", "--gateway.frame=line",
                             "--workers.count=1", NULL};
    FILE *full = fopen("/dev/full", "w");
    struct live live;

    (void)state;
    if (!full)
        skip();
    fclose(full);
    live_start(&live, options);
    peer_wait_service(&live.listen, "line");
    live_stop(&live);
    // What it says, of a node that does not come far.
    fails(1,
          OPTIONS("--node.log_file=/dev/full", "--workers.command=e2e-exits",
                  "--gateway.listen=127.0.0.1:0"),
          OPTIONS("no space left on device", "exit code 3"));
}

static void programs_know_help_and_version(void **state)
{
    static const char *const programs[] = {"troupe", "troupe-gateway", "troupe-echo",
                                           "troupe-bench"};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_COUNT(programs); i++) {
        struct run run;

        run_start(&run, OPTIONS(programs[i], "--version"), NULL);
        assert_int_equal(run_wait_exit(&run), 0);
        if (!strstr(run.output, TROUPE_VERSION))
            fail_msg("%s --version said '%s'", programs[i], run.output);
        run_start(&run, OPTIONS(programs[i], "--help"), NULL);
        assert_int_equal(run_wait_exit(&run), 0);
        if (run.output_size < 100)
            fail_msg("%s --help said '%s'", programs[i], run.output);
    }
}

// The program, not only the code that the other suites link.
static void bench_says_what_is_right_and_what_is_wrong(void **state)
{
    char connect[ADDR_TEXT_MAX];
    struct live live;
    struct run run;

    (void)state;
    live_start(&live, OPTIONS("--workers.count=1"));
    snprintf(connect, sizeof connect, "%s", live.listen_text);
    run_start(&run,
              OPTIONS("troupe-bench", "--connect", connect, "--clients", "5", "--sizes", "2-5000",
                      "--json"),
              NULL);
    assert_int_equal(run_wait_exit(&run), 0);
    assert_non_null(strstr(run.output, "\"frames\": 500,"));
    // Another codec than the gateway's: wrong bytes, or a closed connection, in one line.
    assert_int_equal(run_to_end(OPTIONS("troupe-bench", "--connect", connect, "--frame", "len32be",
                                        "--timeout-ms", "5000"),
                                error, sizeof error),
                     1);
    assert_non_null(strstr(error, "troupe-bench: failed: "));
    assert_int_equal(run_to_end(OPTIONS("troupe-bench", "--clients", "many"), error, sizeof error),
                     2);
    live_stop(&live);
    assert_int_equal(run_to_end(OPTIONS("troupe-bench", "--connect", connect), error, sizeof error),
                     1);
    assert_non_null(strstr(error, "cannot connect"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration_errors_name_file_line_and_key),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(missing_worker_program_is_named),
        cmocka_unit_test(port_in_use_is_named),
        cmocka_unit_test(full_disk_for_logs_is_said_once_and_the_node_goes_on),
        cmocka_unit_test(programs_know_help_and_version),
        cmocka_unit_test(bench_says_what_is_right_and_what_is_wrong),
    };

    os_init();
    return cmocka_run_group_tests(tests, setup, NULL);
}
