#include "bare.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "pool.h"

enum { OPTIONS_MAX = 40 };

void bare_start(struct bare *bare, const char *const *options)
{
    static unsigned number;
    char folder[OS_PATH_MAX], top[OS_PATH_MAX + 8], name[64];
    char runtime_dir[OS_PATH_MAX + 32], log_file[OS_PATH_MAX + 32], node_name[96];
    const char *arguments[OPTIONS_MAX + 8] = {"troupe-gateway", runtime_dir, log_file, node_name,
                                              "--gateway.listen=127.0.0.1:0"};
    size_t count = 5;
    const char *line;
    char listen[256];

    memset(bare, 0, sizeof *bare);
    assert_int_equal(os_program_folder(folder), 0);
    snprintf(top, sizeof top, "%.900s/e2e", folder);
    assert_int_equal(os_make_private_folder(top), 0);
    snprintf(name, sizeof name, "bare-%llu-%u", (unsigned long long)os_process_id(), ++number);
    snprintf(bare->log_path, sizeof bare->log_path, "%.900s/%s.log", top, name);
    remove(bare->log_path);
    assert_int_equal(os_ipc_address(bare->link, top, name), 0);
    snprintf(runtime_dir, sizeof runtime_dir, "--node.runtime_dir=%s", top);
    snprintf(log_file, sizeof log_file, "--node.log_file=%s", bare->log_path);
    snprintf(node_name, sizeof node_name, "--node.name=%s", name);
    for (; options && *options; options++) {
        assert_true(count < OPTIONS_MAX);
        arguments[count++] = *options;
    }
    run_start(&bare->gateway, arguments, NULL);
    line = run_wait_line(&bare->gateway, "troupe: ready ");
    if (!line)
        fail_msg("the gateway ended before it was ready: %s", bare->gateway.how.text);
    assert_int_equal(sscanf(line, "troupe: ready listen=%255s", listen), 1);
    assert_int_equal(addr_parse(listen, &bare->listen, NULL), 0);
}

void bare_worker(struct bare *bare, struct run *worker, const char *const *arguments)
{
    char link[OS_PATH_MAX + 16], log_file[OS_PATH_MAX + 32], number[32];
    const char *const environment[] = {link, log_file, number, "TROUPE_SHARDS=1", NULL};

    snprintf(link, sizeof link, "TROUPE_LINK=%s", bare->link);
    snprintf(log_file, sizeof log_file, "TROUPE_LOG_FILE=%s", bare->log_path);
    snprintf(number, sizeof number, "TROUPE_WORKER=%u", (unsigned)bare->started++);
    run_start(worker, arguments, environment);
    if (!run_wait_line(worker, "troupe: ready"))
        fail_msg("a worker ended before it was ready: %s", worker->how.text);
}

void bare_kill(struct bare *bare, struct run *worker)
{
    uint32_t gone = pool_count(bare->log_path, " is gone ");

    run_kill(worker);
    (void)run_wait_exit(worker);
    bare_wait_log(bare, " is gone ", gone + 1);
}

void bare_wait_log(struct bare *bare, const char *text, uint32_t times)
{
    uint64_t deadline = os_now_ms() + RUN_DEADLINE_MS;

    while (pool_count(bare->log_path, text) < times) {
        if (os_now_ms() >= deadline)
            fail_msg("'%s' does not say '%s' %u times", bare->log_path, text, (unsigned)times);
        run_poll(&bare->gateway, 20);
    }
}

uint64_t bare_stop(struct bare *bare)
{
    uint64_t again;
    int code;

    run_ask_to_stop(&bare->gateway);
    code = run_wait_exit(&bare->gateway);
    if (code != 0)
        fail_msg("the gateway's exit code is %d; '%s' says why", code, bare->log_path);
    again = pool_number(bare->log_path, "inputs delivered again ");
    remove(bare->log_path);
    return again;
}
