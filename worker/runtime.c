#include <stdlib.h>
#include <string.h>

#include <troupe/actor.h>

#include "frame.h"
#include "log.h"
#include "os.h"
#include "runtime.h"

enum { RUNTIME_EXIT_FAILURE = 1, RUNTIME_EXIT_REFUSED = 3, RUNTIME_TEXT_MAX = 256 };

_Static_assert(UPLINK_UNSENT_MAX + TURN_BYTES_MAX + FRAME_PAYLOAD_MAX + 1024 * 1024 <
                   ENVELOPE_BATCH_MAX,
               "what waits and one turn more must fit a batch");

static void runtime_say(const char *line)
{
    os_write_stdout(line, strlen(line));
}

static void runtime_close(struct runtime *runtime)
{
    runtime->state = RUNTIME_CLOSING;
    for (uint32_t i = 0; i < runtime->config.shards; i++)
        uplink_close(&runtime->uplinks[i]);
}

static void runtime_changed(void *owner, struct uplink *uplink)
{
    struct runtime *runtime = owner;
    uint32_t up = 0;

    if (uplink->state == UPLINK_CLOSED)
        runtime->uplinks_open--;
    if (uplink->state == UPLINK_REFUSED && !runtime->refused) {
        runtime->refused = true;
        runtime_say("troupe: failed refused by the gateway\n");
        runtime_close(runtime);
    }
    for (uint32_t i = 0; i < runtime->config.shards; i++)
        up += runtime->uplinks[i].state == UPLINK_UP;
    if (up == runtime->config.shards && !runtime->reported) {
        runtime->reported = true;
        log_info("runtime", "ready on %u shards", (unsigned)up);
        runtime_say("troupe: ready\n");
    }
}

// Texts arrive without an end.
static const char *runtime_text(struct bytes text, char out[RUNTIME_TEXT_MAX])
{
    size_t size = text.size < RUNTIME_TEXT_MAX - 1 ? text.size : RUNTIME_TEXT_MAX - 1;

    memcpy(out, text.data, size);
    out[size] = '\0';
    return out;
}

static void runtime_turn(struct runtime *runtime, struct uplink *uplink,
                         const struct envelope *input)
{
    const struct troupe_actor *actor = runtime->config.actor;
    struct troupe_turn *turn = &runtime->turn;
    char text[RUNTIME_TEXT_MAX];

    turn_begin(turn, input, uplink->frame_max);
    if (input->kind == ENVELOPE_OPEN && actor->open != NULL)
        actor->open(turn, runtime_text(input->text, text));
    else if (input->kind == ENVELOPE_FRAME && actor->frame != NULL)
        actor->frame(turn, input->payload.data, input->payload.size);
    else if (input->kind == ENVELOPE_CLOSE && actor->close != NULL)
        actor->close(turn, runtime_text(input->text, text));
    if (turn_commit(turn, uplink_outbox(uplink)) != 0) {
        // Without this commit the link's order is lost. The gateway knows what to do about a worker
        // that is gone.
        log_error("runtime", "out of memory");
        runtime_say("troupe: failed out of memory\n");
        exit(RUNTIME_EXIT_FAILURE);
    }
}

// Runs turns of one shard until its batch is done, a slice of time is over, or its commits do not
// get away. True: there may be more to do at once.
static bool runtime_slice(struct runtime *runtime, struct uplink *uplink)
{
    uint64_t until_ns = os_now_ns() + RUNTIME_SLICE_NS;
    bool more = true;
    bool spent = false;
    struct envelope input;

    while (!spent && more && uplink_room(uplink)) {
        more = uplink_next(uplink, &input);
        if (!more)
            break;
        runtime_turn(runtime, uplink, &input);
        spent = os_now_ns() >= until_ns;
    }
    uplink_flush(uplink);
    return more && spent;
}

static void runtime_stopping(struct port_op *op)
{
    struct runtime *runtime = container_of(op, struct runtime, stop);

    log_info("runtime", "stopping");
    if (runtime->state == RUNTIME_RUNNING)
        runtime->state = RUNTIME_LEAVING;
}

// On a thread of its own.
static void runtime_on_stop(void *context)
{
    struct runtime *runtime = context;

    if (runtime->stop_posted)
        return;
    runtime->stop_posted = true;
    port_post(runtime->port, &runtime->stop);
}

// One turn of the loop after its poll. Returns how long the next poll may wait.
static int runtime_step(struct runtime *runtime)
{
    bool busy = false;
    bool drained = true;
    int wait_ms = -1;

    for (uint32_t i = 0; i < runtime->config.shards; i++) {
        struct uplink *uplink = &runtime->uplinks[i];

        // Once told to stop it takes no more inputs: under load they would never end.
        if (runtime->state == RUNTIME_RUNNING)
            busy = runtime_slice(runtime, uplink) || busy;
        else
            uplink_flush(uplink);
        drained = drained && uplink_drained(uplink);
    }
    if (runtime->state == RUNTIME_LEAVING && drained)
        runtime_close(runtime);
    for (uint32_t i = 0; i < runtime->config.shards; i++) {
        int next_ms = uplink_tick(&runtime->uplinks[i]);

        if (next_ms >= 0 && (wait_ms < 0 || next_ms < wait_ms))
            wait_ms = next_ms;
    }
    return busy ? 0 : wait_ms;
}

static void runtime_loop(struct runtime *runtime)
{
    int wait_ms = -1;

    while (runtime->uplinks_open > 0) {
        CHECK(port_poll(runtime->port, wait_ms) >= 0);
        wait_ms = runtime_step(runtime);
    }
}

static int runtime_start(struct runtime *runtime)
{
    struct uplink_config *uplink = &runtime->config.uplink;

    uplink->port = runtime->port;
    uplink->now_ms = os_now_ms;
    uplink->changed = runtime_changed;
    uplink->owner = runtime;
    for (uint32_t i = 0; i < runtime->config.shards; i++) {
        int error = uplink_open(&runtime->uplinks[i], uplink, i);

        if (error != 0) {
            log_error("runtime", "cannot dial '%s-%u': %s", uplink->address, (unsigned)i,
                      error_text(error));
            return error;
        }
        runtime->uplinks_open++;
    }
    return 0;
}

int runtime_run(const struct runtime_config *config)
{
    // Static, because the stop thread may still post when main has returned.
    static struct runtime runtime;
    const struct port_config port = {.op_count_max = 1};

    runtime.config = *config;
    runtime.stop.done = runtime_stopping;
    runtime.uplinks = calloc(config->shards, sizeof(*runtime.uplinks));
    if (runtime.uplinks == NULL || port_create(&runtime.port, &port) != 0) {
        log_error("runtime", "cannot make a completion port");
        runtime_say("troupe: failed cannot make a completion port\n");
        return RUNTIME_EXIT_FAILURE;
    }
    os_on_stop(runtime_on_stop, &runtime);
    if (runtime_start(&runtime) != 0) {
        runtime_say("troupe: failed cannot dial the gateway\n");
        return RUNTIME_EXIT_FAILURE;
    }
    runtime_loop(&runtime);
    turn_fini(&runtime.turn);
    free(runtime.uplinks);
    return runtime.refused ? RUNTIME_EXIT_REFUSED : 0;
}
