#include <stdio.h>
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
    // Its actors live elsewhere now, or will come back with what was committed of them.
    if (uplink->state == UPLINK_CLOSED || uplink->state == UPLINK_PAUSING)
        actors_clear(&runtime->actors[uplink->shard]);
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

// Without its commit the link's order is lost, and a state that cannot be read is no state: the
// gateway knows what to do about a worker that is gone.
_Noreturn static void runtime_give_up(const char *why)
{
    char line[RUNTIME_TEXT_MAX];

    log_error("runtime", "%s", why);
    snprintf(line, sizeof(line), "troupe: failed %s\n", why);
    runtime_say(line);
    exit(RUNTIME_EXIT_FAILURE);
}

static void runtime_call(const struct troupe_actor *type, struct troupe_turn *turn, void *state,
                         const struct envelope *input)
{
    char text[RUNTIME_TEXT_MAX];

    if (input->kind == ENVELOPE_OPEN && type->open != NULL)
        type->open(turn, state, runtime_text(input->text, text));
    else if (input->kind == ENVELOPE_FRAME && type->frame != NULL)
        type->frame(turn, state, input->payload.data, input->payload.size);
    else if (input->kind == ENVELOPE_FIRED && type->timer != NULL)
        type->timer(turn, state, input->tag);
    else if (input->kind == ENVELOPE_CLOSE && type->close != NULL)
        type->close(turn, state, runtime_text(input->text, text));
}

// The actor of an input; RESTORE has none to be called with.
static struct actor *runtime_actor(struct runtime *runtime, struct uplink *uplink,
                                   const struct envelope *input)
{
    struct actors *actors = &runtime->actors[uplink->shard];
    struct actor *actor;
    const char *why = "out of memory";

    switch (input->kind) {
    case ENVELOPE_RESTORE:
        if (actors_restore(actors, input->session, input->state_version, input->payload, &why) != 0)
            runtime_give_up(why);
        return NULL;
    case ENVELOPE_OPEN:
        actor = actors_add(actors, input->session);
        if (actor == NULL)
            runtime_give_up(why);
        return actor;
    default:
        actor = actors_find(actors, input->session);
        if (actor == NULL) {
            log_error("runtime", "shard %u sent an input of an actor that is not here",
                      (unsigned)uplink->shard);
            uplink_break(uplink);
        }
        return actor;
    }
}

static void runtime_turn(struct runtime *runtime, struct uplink *uplink,
                         const struct envelope *input)
{
    const struct troupe_actor *type = runtime->config.actor;
    struct actors *actors = &runtime->actors[uplink->shard];
    struct troupe_turn *turn = &runtime->turn;
    struct actor *actor = runtime_actor(runtime, uplink, input);
    struct bytes state;
    int changed;

    if (actor == NULL)
        return;
    turn_begin(turn, input, uplink->frame_max, uplink->seed);
    runtime_call(type, turn, actor->state, input);
    changed = input->kind == ENVELOPE_CLOSE ? 0 : actors_changed(actors, actor, &state);
    if (changed > 0)
        changed = turn_state(turn, type->state_version, state);
    if (changed == -EMSGSIZE)
        runtime_give_up("an actor's state is larger than any gateway takes: 8 MiB");
    if (changed != 0 || turn_commit(turn, uplink_outbox(uplink)) != 0)
        runtime_give_up("out of memory");
    if (input->kind == ENVELOPE_CLOSE)
        actors_remove(actors, actor);
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
    if (runtime->state != RUNTIME_RUNNING)
        return;
    runtime->state = RUNTIME_LEAVING;
    runtime->leave_until_ms = os_now_ms() + RUNTIME_LEAVE_MS;
    for (uint32_t i = 0; i < runtime->config.shards; i++)
        uplink_leave(&runtime->uplinks[i]);
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

// True when nobody needs this worker any more, or it has waited long enough for that.
static bool runtime_may_leave(const struct runtime *runtime)
{
    if (os_now_ms() >= runtime->leave_until_ms)
        return true;
    for (uint32_t i = 0; i < runtime->config.shards; i++) {
        const struct uplink *uplink = &runtime->uplinks[i];

        if (!uplink_drained(uplink) || (uplink->state == UPLINK_UP && !uplink->drained))
            return false;
    }
    return true;
}

// One turn of the loop after its poll. Returns how long the next poll may wait.
static int runtime_step(struct runtime *runtime)
{
    bool busy = false;
    int wait_ms = runtime->state == RUNTIME_LEAVING ? RUNTIME_LEAVE_STEP_MS : -1;

    for (uint32_t i = 0; i < runtime->config.shards; i++) {
        struct uplink *uplink = &runtime->uplinks[i];

        busy = runtime_slice(runtime, uplink) || busy;
    }
    if (runtime->state == RUNTIME_LEAVING && runtime_may_leave(runtime))
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
        int error;

        actors_init(&runtime->actors[i], runtime->config.actor);
        error = uplink_open(&runtime->uplinks[i], uplink, i);

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
    runtime.actors = calloc(config->shards, sizeof(*runtime.actors));
    if (runtime.uplinks == NULL || runtime.actors == NULL ||
        port_create(&runtime.port, &port) != 0) {
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
    free(runtime.actors);
    return runtime.refused ? RUNTIME_EXIT_REFUSED : 0;
}
