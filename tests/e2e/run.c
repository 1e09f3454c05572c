#include "run.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line_message {
    struct port_op op;
    struct run *run;
    char text[PROCESS_LINE_MAX + 1];
};

static void line_done(struct port_op *op)
{
    struct line_message *message = container_of(op, struct line_message, op);
    struct run *run = message->run;
    size_t size = strlen(message->text);

    if (size + 2 <= sizeof run->output - run->output_size) {
        memcpy(run->output + run->output_size, message->text, size);
        run->output_size += size;
        run->output[run->output_size++] = '\n';
        run->output[run->output_size] = '\0';
    }
    free(message);
}

// On a thread of the process module, like exited().
static void line(void *owner, const char *text)
{
    struct line_message *message = calloc(1, sizeof *message);

    if (!message)
        return;
    message->op.done = line_done;
    message->run = owner;
    snprintf(message->text, sizeof message->text, "%s", text);
    port_post(message->run->port, &message->op);
}

static void exit_done(struct port_op *op)
{
    container_of(op, struct run, exit_op)->exited = true;
}

static void exited(void *owner, const struct process_exit *how)
{
    struct run *run = owner;

    run->how = *how;
    run->exit_op.done = exit_done;
    port_post(run->port, &run->exit_op);
}

void run_start(struct run *run, const char *const *arguments, const char *const *environment)
{
    enum { ARGUMENTS_MAX = 64 };
    static char program[OS_PATH_MAX];
    const char *all[ARGUMENTS_MAX];
    struct process_config config = {
        .arguments = all,
        .environment = environment,
        .line = line,
        .exited = exited,
        .owner = run,
    };
    size_t i;
    int rc;

    memset(run, 0, sizeof *run);
    for (i = 0; arguments[i]; i++) {
        assert_true(i + 1 < ARGUMENTS_MAX);
        all[i] = arguments[i];
    }
    all[i] = NULL;
    if (os_find_program(arguments[0], program) < 0)
        fail_msg("'%s' is not there: '%s'", arguments[0], program);
    all[0] = program;
    assert_int_equal(port_create(&run->port, &(struct port_config){.op_count_max = 16}), 0);
    rc = process_start(&run->process, &config);
    if (rc < 0)
        fail_msg("'%s' does not start: %s", program, error_text(rc));
}

void run_poll(struct run *run, int timeout_ms)
{
    if (run->port)
        assert_true(port_poll(run->port, timeout_ms) >= 0);
    else
        os_sleep_ms((uint32_t)timeout_ms); // it is over, what is watched is another process
}

static const char *find_line(const struct run *run, const char *beginning)
{
    const char *at = run->output;

    while (at && *at) {
        if (strncmp(at, beginning, strlen(beginning)) == 0)
            return at;
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    return NULL;
}

const char *run_wait_line(struct run *run, const char *beginning)
{
    uint64_t deadline = os_now_ms() + RUN_DEADLINE_MS;

    for (;;) {
        const char *found = find_line(run, beginning);

        if (found || run->exited)
            return found;
        if (os_now_ms() >= deadline)
            fail_msg("no line '%s...' came, but '%s'", beginning, run->output);
        run_poll(run, 100);
    }
}

int run_wait_exit(struct run *run)
{
    uint64_t deadline = os_now_ms() + RUN_DEADLINE_MS;

    while (!run->exited) {
        if (os_now_ms() >= deadline) {
            run_kill(run);
            fail_msg("a program does not end; it said '%s'", run->output);
        }
        run_poll(run, 100);
    }
    process_destroy(run->process);
    run->process = NULL;
    port_destroy(run->port);
    run->port = NULL;
    return run->how.code;
}

void run_ask_to_stop(struct run *run)
{
    process_stop(run->process);
}

void run_kill(struct run *run)
{
    process_kill(run->process);
}

int run_to_end(const char *const *arguments, char *out_error, size_t size)
{
    enum { ARGUMENTS_MAX = 60 };
    char path[OS_PATH_MAX], folder[OS_PATH_MAX];
    const char *all[ARGUMENTS_MAX + 3] = {"e2e-stderr", path};
    struct run run;
    FILE *file;
    size_t i, got = 0;
    int code;

    assert_int_equal(os_program_folder(folder), 0);
    snprintf(path, sizeof path, "%.900s/e2e-stderr-%llu.txt", folder,
             (unsigned long long)os_process_id());
    for (i = 0; arguments[i]; i++) {
        assert_true(i < ARGUMENTS_MAX);
        all[i + 2] = arguments[i];
    }
    run_start(&run, all, NULL);
    code = run_wait_exit(&run);
    file = fopen(path, "rb");
    assert_non_null(file);
    got = fread(out_error, 1, size - 1, file);
    out_error[got] = '\0';
    fclose(file);
    remove(path);
    return code;
}
