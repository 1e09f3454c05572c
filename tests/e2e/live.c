#include "live.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void make_folder(struct live *live)
{
    static unsigned number;
    char program_folder[OS_PATH_MAX];
    char top[OS_PATH_MAX + 8];
    int rc;

    assert_int_equal(os_program_folder(program_folder), 0);
    assert_true(strlen(program_folder) < OS_PATH_MAX - 128);
    snprintf(live->name, sizeof live->name, "e2e-%llu-%u", (unsigned long long)os_process_id(),
             ++number);
    snprintf(top, sizeof top, "%s/e2e", program_folder);
    rc = os_make_private_folder(top);
    if (rc < 0)
        fail_msg("'%s' cannot be made: %s", top, error_text(rc));
    // One folder for all nodes of all tests: their names differ.
    snprintf(live->folder, sizeof live->folder, "%.900s", top);
    snprintf(live->log_path, sizeof live->log_path, "%.900s/%s.log", top, live->name);
    remove(live->log_path);
}

void live_launch(struct live *live, const char *const *options)
{
    enum { OPTIONS_MAX = 40 };
    char runtime_dir[OS_PATH_MAX + 32], log_file[OS_PATH_MAX + 32], name[128];
    const char *arguments[OPTIONS_MAX + 8] = {
        "troupe", "up", runtime_dir, log_file, name, "--gateway.listen=127.0.0.1:0",
    };
    size_t count = 6;

    memset(live, 0, sizeof *live);
    make_folder(live);
    snprintf(runtime_dir, sizeof runtime_dir, "--node.runtime_dir=%s", live->folder);
    snprintf(log_file, sizeof log_file, "--node.log_file=%s", live->log_path);
    snprintf(name, sizeof name, "--node.name=%s", live->name);
    for (; options && *options; options++) {
        assert_true(count < OPTIONS_MAX);
        arguments[count++] = *options;
    }
    arguments[count] = NULL;
    run_start(&live->run, arguments, NULL);
}

static void show_log(const struct live *live)
{
    char line[1024];
    FILE *file = fopen(live->log_path, "r");

    while (file && fgets(line, sizeof line, file))
        fputs(line, stderr);
    if (file)
        fclose(file);
}

void live_wait_ready(struct live *live)
{
    const char *line = run_wait_line(&live->run, "ready: ");
    unsigned long long gateway;
    char listen[256];
    unsigned workers;

    if (!line) {
        show_log(live);
        fail_msg("the node ended before it was ready: %s", live->run.how.text);
    }
    assert_int_equal(
        sscanf(line, "ready: listen=%255s workers=%u pid=%llu", listen, &workers, &gateway), 3);
    assert_int_equal(addr_parse(listen, &live->listen, NULL), 0);
    assert_int_not_equal(live->listen.port, 0);
    snprintf(live->listen_text, sizeof live->listen_text, "%.60s", listen);
    live->workers = workers;
    live->gateway = gateway;
    assert_true(os_resident_bytes(gateway) > 0);
}

void live_start(struct live *live, const char *const *options)
{
    live_launch(live, options);
    live_wait_ready(live);
}

void live_stop(struct live *live)
{
    int code;

    run_ask_to_stop(&live->run);
    code = run_wait_exit(&live->run);
    if (code != 0)
        show_log(live);
    assert_int_equal(code, 0);
    assert_true(os_resident_bytes(live->gateway) == 0);
    remove(live->log_path);
}

bool live_log_has(const struct live *live, const char *text)
{
    FILE *file = fopen(live->log_path, "rb");
    bool found = false;
    char *all;
    long size;

    if (!file)
        return false;
    fseek(file, 0, SEEK_END);
    size = ftell(file);
    all = calloc(1, (size_t)size + 1);
    fseek(file, 0, SEEK_SET);
    if (all && fread(all, 1, (size_t)size, file) == (size_t)size)
        found = strstr(all, text) != NULL;
    free(all);
    fclose(file);
    return found;
}

void live_wait_log(struct live *live, const char *text)
{
    uint64_t deadline = os_now_ms() + RUN_DEADLINE_MS;

    while (!live_log_has(live, text)) {
        if (os_now_ms() >= deadline) {
            show_log(live);
            fail_msg("the log never said '%s'", text);
        }
        run_poll(&live->run, 20);
    }
}

void live_wait_gone(struct live *live, uint64_t process_id)
{
    uint64_t deadline = os_now_ms() + RUN_DEADLINE_MS;

    while (os_resident_bytes(process_id) > 0) {
        if (os_now_ms() >= deadline)
            fail_msg("process %llu is still there", (unsigned long long)process_id);
        run_poll(&live->run, 20);
    }
}
