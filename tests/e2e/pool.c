#include "pool.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kill.h"

// All of a log from an offset on, as a text; free() it.
static char *log_text(const char *path, long from)
{
    FILE *file = fopen(path, "rb");
    char *text;
    size_t size;
    long end;

    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    end = ftell(file);
    assert_true(end >= from);
    text = calloc(1, (size_t)(end - from) + 1);
    assert_non_null(text);
    fseek(file, from, SEEK_SET);
    size = fread(text, 1, (size_t)(end - from), file);
    text[size] = '\0';
    fclose(file);
    return text;
}

static void worker_up(struct pool *pool, uint64_t process_id)
{
    for (uint32_t i = 0; i < pool->count; i++) {
        if (pool->workers[i].process_id == process_id)
            return; // another shard has it, too
    }
    assert_true(pool->count < POOL_WORKERS_MAX);
    pool->workers[pool->count++] = (struct pool_worker){.process_id = process_id};
}

static void worker_gone(struct pool *pool, uint64_t process_id)
{
    for (uint32_t i = 0; i < pool->count; i++) {
        if (pool->workers[i].process_id == process_id && !pool->workers[i].hit)
            pool->workers[i] = pool->workers[--pool->count];
    }
}

// Under Wine a line may be lost when two processes write at once: one shard's word is enough.
static void read_line(struct pool *pool, const char *line)
{
    static const char up[] = " is up (process ";
    static const char gone[] = " is gone (process ";
    const char *at = strstr(line, up);

    if (at)
        worker_up(pool, strtoull(at + sizeof up - 1, NULL, 10));
    at = strstr(line, gone);
    if (at)
        worker_gone(pool, strtoull(at + sizeof gone - 1, NULL, 10));
}

void pool_watch(struct pool *pool, struct live *live)
{
    *pool = (struct pool){.live = live};
    pool_look(pool);
}

// What was hit stays until its process is gone: nobody hits it again, and it may be frozen. Process
// ids are used again, though.
static void forget_the_dead(struct pool *pool)
{
    for (uint32_t i = pool->count; i-- > 0;) {
        if (pool->workers[i].hit && os_resident_bytes(pool->workers[i].process_id) == 0)
            pool->workers[i] = pool->workers[--pool->count];
    }
}

void pool_look(struct pool *pool)
{
    char *text = log_text(pool->live->log_path, pool->read);
    char *line = text;
    char *end;

    while ((end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        read_line(pool, line);
        line = end + 1;
    }
    pool->read += (long)(line - text);
    free(text);
    forget_the_dead(pool);
}

uint32_t pool_whole(const struct pool *pool)
{
    uint32_t whole = 0;

    for (uint32_t i = 0; i < pool->count; i++)
        whole += !pool->workers[i].hit;
    return whole;
}

void pool_hit(struct pool *pool, uint32_t number, enum blow blow)
{
    static int (*const deliver[])(uint64_t process_id) = {
        [BLOW_KILL] = kill_process, [BLOW_FREEZE] = freeze_process, [BLOW_ASK] = ask_process};
    int rc;

    for (uint32_t i = 0; i < pool->count; i++) {
        struct pool_worker *worker = &pool->workers[i];

        if (worker->hit || number-- > 0)
            continue;
        rc = deliver[blow](worker->process_id);
        if (rc != -ESRCH) // it may have ended by itself
            assert_int_equal(rc, 0);
        worker->hit = true;
        pool->blows++;
        return;
    }
    fail_msg("there is no such worker");
}

void pool_wait_settled(struct pool *pool)
{
    uint64_t deadline = os_now_ms() + RUN_DEADLINE_MS;

    for (pool_look(pool); pool_whole(pool) < pool->count; pool_look(pool)) {
        if (os_now_ms() >= deadline)
            fail_msg("%u workers have been hit and are still there",
                     (unsigned)(pool->count - pool_whole(pool)));
        run_poll(&pool->live->run, 20);
    }
}

uint64_t pool_stop(struct pool *pool)
{
    struct live *live = pool->live;
    uint64_t again;
    int code;

    run_ask_to_stop(&live->run);
    code = run_wait_exit(&live->run);
    if (code != 0)
        fail_msg("the node's exit code is %d; '%s' says why", code, live->log_path);
    assert_true(os_resident_bytes(live->gateway) == 0);
    again = pool_number(live->log_path, "inputs delivered again ");
    remove(live->log_path);
    return again;
}

uint32_t pool_count(const char *log_path, const char *text)
{
    char *all = log_text(log_path, 0);
    uint32_t count = 0;

    for (const char *at = all; (at = strstr(at, text)) != NULL; at += strlen(text))
        count++;
    free(all);
    return count;
}

uint64_t pool_number(const char *log_path, const char *text)
{
    char *all = log_text(log_path, 0);
    uint64_t number = 0;

    for (const char *at = all; (at = strstr(at, text)) != NULL;) {
        at += strlen(text);
        number = strtoull(at, NULL, 10);
    }
    free(all);
    return number;
}
