#include "watch.h"

#include <stdio.h>
#include <string.h>

static void line_seen(struct port_op *op)
{
    container_of(op, struct watch_line, op)->watch->seen++;
}

static void end_seen(struct port_op *op)
{
    container_of(op, struct watch, exit_op)->ended = true;
}

static void on_line(void *owner, const char *text)
{
    struct watch *watch = owner;
    size_t number = watch->told++;

    CHECK(number < WATCH_LINES_MAX);
    CHECK(strlen(text) < PROCESS_LINE_MAX);
    strcpy(watch->lines[number].text, text);
    port_post(watch->port, &watch->lines[number].op);
}

static void on_exited(void *owner, const struct process_exit *how)
{
    struct watch *watch = owner;

    watch->how = *how;
    port_post(watch->port, &watch->exit_op);
}

static void wait_more(struct watch *watch, const char *what)
{
    if (port_poll(watch->port, WATCH_PATIENCE_MS) > 0)
        return;
    fprintf(stderr, "waited too long for %s; lines so far: %zu\n", what, watch->seen);
    CHECK(false);
}

int watch_start(struct watch *watch, const char *const *arguments, const char *const *environment)
{
    struct process_config config = {
        .arguments = arguments,
        .environment = environment,
        .line = on_line,
        .exited = on_exited,
        .owner = watch,
    };
    int rc;

    CHECK(port_create(&watch->port, &(struct port_config){.op_count_max = 1}) == 0);
    watch->exit_op.done = end_seen;
    for (size_t i = 0; i < WATCH_LINES_MAX; i++) {
        watch->lines[i].op.done = line_seen;
        watch->lines[i].watch = watch;
    }
    rc = process_start(&watch->process, &config);
    if (rc != 0)
        watch->ended = true;
    return rc;
}

void watch_lines(struct watch *watch, size_t count)
{
    while (watch->seen < count) {
        CHECK(!watch->ended);
        wait_more(watch, "a line");
    }
}

void watch_end(struct watch *watch)
{
    while (!watch->ended)
        wait_more(watch, "the end");
}

void watch_fini(struct watch *watch)
{
    if (!watch->ended) {
        process_kill(watch->process);
        watch_end(watch);
    }
    process_destroy(watch->process);
    port_destroy(watch->port);
    memset(watch, 0, sizeof(*watch));
}
