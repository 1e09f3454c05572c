// The gateway: accepts clients, owns their sessions, feeds the workers.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "log.h"
#include "os.h"
#include "shard.h"

enum { GATEWAY_CORES_PER_SHARD = 4 };

enum gateway_state {
    GATEWAY_STARTING, // waits for the shards
    GATEWAY_SERVING,  // the listener is open
    GATEWAY_STOPPING,
};

// What the stop thread, the shards' threads and the main thread share. Shard 0 runs on the main
// thread and owns all of it; the others only post.
struct gateway {
    struct config config;
    struct shard_group group;
    struct shard *shards;
    struct gateway_thread {
        struct gateway *gateway;
        uint32_t index;
        struct os_thread thread;
        struct port_op started; // posted to shard 0 when the shard stands, or does not
        int error;
    } * threads;
    struct listener listener;
    uint32_t started; // shards that stand
    uint32_t next;    // shard that gets the next client
    int exit_code;
    enum gateway_state state;
    bool stop_posted; // of the stop thread
    struct port_op stop;
    char address[OS_PATH_MAX];
    char deadletters[OS_PATH_MAX];
};

static void gateway_stop_shards(struct gateway *gateway)
{
    for (uint32_t i = 0; i < gateway->group.count; i++) {
        if (i == 0 || gateway->threads[i].error == 0)
            shard_stop(&gateway->shards[i]);
    }
}

static void gateway_listener_closed(void *owner)
{
    struct gateway *gateway = owner;

    // Every slot is home, so no shard hears from another any more.
    gateway->shards[0].listener = NULL;
    gateway_stop_shards(gateway);
}

static void gateway_stop(struct gateway *gateway)
{
    enum gateway_state before = gateway->state;

    gateway->state = GATEWAY_STOPPING;
    if (before == GATEWAY_SERVING)
        listener_close(&gateway->listener);
    else if (before == GATEWAY_STARTING && gateway->started == gateway->group.count)
        gateway_stop_shards(gateway);
    // Otherwise the last shard to start will see that it has to stop.
}

static void gateway_stop_heard(struct port_op *op)
{
    log_info("gateway", "stopping");
    gateway_stop(container_of(op, struct gateway, stop));
}

// On a thread of its own; a second signal finds the stop under way.
static void gateway_on_stop(void *context)
{
    struct gateway *gateway = context;

    if (gateway->stop_posted)
        return;
    gateway->stop_posted = true;
    port_post(gateway->shards[0].port, &gateway->stop);
}

static void gateway_accepted(void *owner, struct listener_slot *slot)
{
    struct gateway *gateway = owner;
    struct shard *shard = &gateway->shards[gateway->next];

    gateway->next = (gateway->next + 1) % gateway->group.count;
    slot->hops = 0;
    shard_offer(shard, slot);
}

static int gateway_listen(struct gateway *gateway)
{
    struct listener_config listener = {
        .port = gateway->shards[0].port,
        .at = gateway->config.gateway.listen,
        .accepts = gateway->config.gateway.accepts,
        .accepted = gateway_accepted,
        .closed = gateway_listener_closed,
        .owner = gateway,
    };
    char at[ADDR_TEXT_MAX];
    char line[256];
    int size;
    int error = listener_open(&gateway->listener, &listener);

    if (error != 0) {
        addr_text(&listener.at, at);
        log_error("gateway", "cannot listen on '%s': %s", at, error_text(error));
        size = snprintf(line, sizeof(line), "troupe: failed cannot listen on '%s': %s\n", at,
                        error_text(error));
        os_write_stdout(line, (size_t)size);
        return error;
    }
    gateway->shards[0].listener = &gateway->listener;
    addr_text(&gateway->listener.bound, at);
    log_info("gateway", "listening on '%s' for %u clients, frame %s, %u shards", at,
             (unsigned)gateway->config.gateway.max_sessions, gateway->config.gateway.frame,
             (unsigned)gateway->group.count);
    size = snprintf(line, sizeof(line), "troupe: ready listen=%s\n", at);
    os_write_stdout(line, (size_t)size);
    return 0;
}

// On shard 0, for each shard. The last one opens the door.
static void gateway_shard_started(struct port_op *op)
{
    struct gateway_thread *thread = container_of(op, struct gateway_thread, started);
    struct gateway *gateway = thread->gateway;

    gateway->started++;
    if (thread->error != 0)
        gateway->exit_code = 1;
    if (gateway->started < gateway->group.count)
        return;
    if (gateway->state == GATEWAY_STOPPING) {
        gateway_stop_shards(gateway);
        return;
    }
    if (gateway->exit_code == 0 && gateway_listen(gateway) == 0) {
        gateway->state = GATEWAY_SERVING;
        return;
    }
    gateway->exit_code = 1;
    gateway_stop(gateway);
}

static void gateway_thread_run(void *argument)
{
    struct gateway_thread *thread = argument;
    struct gateway *gateway = thread->gateway;
    struct shard *shard = &gateway->shards[thread->index];

    thread->error = shard_start(shard, &gateway->group, thread->index);
    port_post(gateway->shards[0].port, &thread->started);
    if (thread->error == 0)
        shard_run(shard);
}

static void gateway_start_threads(struct gateway *gateway)
{
    for (uint32_t i = 0; i < gateway->group.count; i++) {
        struct gateway_thread *thread = &gateway->threads[i];

        thread->gateway = gateway;
        thread->index = i;
        thread->started.done = gateway_shard_started;
        if (i == 0) {
            port_post(gateway->shards[0].port, &thread->started);
            continue;
        }
        if (os_thread_start(&thread->thread, gateway_thread_run, thread) != 0) {
            log_error("gateway", "cannot start the thread of shard %u", (unsigned)i);
            thread->error = -EAGAIN;
            port_post(gateway->shards[0].port, &thread->started);
        }
    }
}

static void gateway_report(const struct gateway *gateway)
{
    struct session_counts sum = {0};
    uint64_t refused = 0;
    uint64_t replayed = 0;

    for (uint32_t i = 0; i < gateway->group.count; i++) {
        const struct shard *shard = &gateway->shards[i];

        for (int reason = 0; reason < REASON_COUNT; reason++)
            sum.closed[reason] += shard->sessions.counts.closed[reason];
        sum.frames_in += shard->sessions.counts.frames_in;
        sum.frames_out += shard->sessions.counts.frames_out;
        refused += shard->refused;
        replayed += shard->router.counts.replayed;
    }
    for (int reason = 0; reason < REASON_COUNT; reason++) {
        if (sum.closed[reason] != 0)
            log_info("gateway", "sessions closed, %s: %" PRIu64, reason_text((enum reason)reason),
                     sum.closed[reason]);
    }
    log_info("gateway",
             "frames in %" PRIu64 ", out %" PRIu64 "; clients refused %" PRIu64
             "; inputs delivered again %" PRIu64,
             sum.frames_in, sum.frames_out, refused, replayed);
}

static int gateway_run(struct gateway *gateway)
{
    if (shard_open(&gateway->shards[0], &gateway->group, 0) != 0)
        return 1;
    // Before the start brings nng's threads, which would hear the signals otherwise.
    gateway->stop.done = gateway_stop_heard;
    os_on_stop(gateway_on_stop, gateway);
    if (shard_start(&gateway->shards[0], &gateway->group, 0) != 0)
        return 1;
    gateway_start_threads(gateway);
    shard_run(&gateway->shards[0]);
    for (uint32_t i = 1; i < gateway->group.count; i++) {
        if (gateway->threads[i].thread.run != NULL)
            os_thread_join(&gateway->threads[i].thread);
    }
    gateway_report(gateway);
    for (uint32_t i = gateway->group.count; i-- > 1;)
        shard_fini(&gateway->shards[i]);
    // Shard 0's port stays: a late stop signal may still be posted to it.
    router_fini(&gateway->shards[0].router);
    session_table_fini(&gateway->shards[0].table);
    return gateway->exit_code;
}

// Everything the shards need to know, from the configuration. 0 or -EINVAL/-ENOMEM with a line of
// log.
static int gateway_prepare(struct gateway *gateway)
{
    const struct config *config = &gateway->config;
    struct shard_group *group = &gateway->group;
    const char *why = "";
    const char *token = os_environment("TROUPE_TOKEN");
    uint32_t cores = os_core_count();

    group->count = config->gateway.shards;
    if (group->count == CONFIG_AUTO)
        group->count = cores < GATEWAY_CORES_PER_SHARD ? 1 : cores / GATEWAY_CORES_PER_SHARD;
    if (group->count > SHARD_COUNT_MAX)
        group->count = SHARD_COUNT_MAX;
    if (group->count > config->gateway.max_sessions)
        group->count = config->gateway.max_sessions;
    if (frame_codec_parse(&group->codec, config->gateway.frame, config->gateway.max_frame_bytes,
                          &why) != 0) {
        log_error("gateway", "gateway.frame: '%s': %s", config->gateway.frame, why);
        return -EINVAL;
    }
    if (os_make_private_folder(config->node.runtime_dir) != 0 ||
        os_ipc_address(gateway->address, config->node.runtime_dir, config->node.name) != 0 ||
        deadletter_path(gateway->deadletters, sizeof(gateway->deadletters),
                        config->node.runtime_dir, config->node.name) != 0) {
        log_error("gateway", "node.runtime_dir: '%s' cannot be used, or is too long",
                  config->node.runtime_dir);
        return -EINVAL;
    }
    group->limits = (struct session_limits){
        .inbox_max_frames = config->gateway.inbox_max_frames,
        .inbox_max_bytes = config->gateway.inbox_max_bytes,
        .outbox_max_bytes = config->gateway.outbox_max_bytes,
        .idle_timeout_ms = config->gateway.idle_timeout_ms,
        .linger_timeout_ms = config->gateway.linger_timeout_ms,
    };
    group->sessions_max = config->gateway.max_sessions;
    group->accepts = config->gateway.accepts;
    group->drain_ms = config->node.stop_timeout_ms / 3;
    group->heartbeat_ms = config->gateway.heartbeat_ms;
    group->turn_timeout_ms = config->gateway.turn_timeout_ms;
    group->state_max = config->gateway.state_max_bytes;
    group->poison_strikes = config->gateway.poison_strikes;
    group->deadletters = gateway->deadletters;
    group->deadletter_max = config->gateway.deadletter_max_bytes;
    os_random(&group->seed, sizeof(group->seed));
    group->address = gateway->address;
    if (token != NULL)
        group->token = (struct bytes){(const uint8_t *)token, strlen(token)};
    gateway->shards = calloc(group->count, sizeof(*gateway->shards));
    gateway->threads = calloc(group->count, sizeof(*gateway->threads));
    group->shards = gateway->shards;
    if (gateway->shards != NULL && gateway->threads != NULL)
        return 0;
    log_error("gateway", "out of memory");
    return -ENOMEM;
}

static void gateway_usage(void)
{
    printf("troupe-gateway - accepts clients and feeds the workers of a node\n"
           "\n"
           "usage: troupe-gateway [--config FILE] [--section.key=value ...]\n"
           "       troupe-gateway --help | --version\n"
           "\n"
           "'troupe up' starts it together with the workers. By itself it serves whatever workers\n"
           "dial it. It stops in order on Ctrl-C or SIGTERM. Exit codes: 0 stopped in order,\n"
           "1 failure, 2 wrong usage or configuration.\n"
           "\n"
           "keys:\n");
    config_print_keys(stdout);
}

// True when the arguments asked for something that is done by now; out_code is the exit code.
static bool gateway_arguments(struct config *config, int argc, char **argv, int *out_code)
{
    struct config_error error;

    *out_code = 0;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        gateway_usage();
        return true;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("troupe-gateway %s\n", TROUPE_VERSION);
        return true;
    }
    config_init(config);
    *out_code = 2;
    if (config_from_arguments(config, &argc, argv, &error) != 0) {
        fprintf(stderr, "troupe-gateway: %s\n", error.text);
        return true;
    }
    if (argc > 1) {
        fprintf(stderr, "troupe-gateway: '%s' is not known, see --help\n", argv[1]);
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    static struct gateway gateway;
    int code;

    os_init();
    if (gateway_arguments(&gateway.config, argc, argv, &code))
        return code;
    (void)log_init(&(struct log_config){.program = "gateway",
                                        .level = gateway.config.node.log_level,
                                        .file = gateway.config.node.log_file});
    (void)os_descriptor_limit_raise();
    code = gateway_prepare(&gateway) == 0 ? gateway_run(&gateway) : 2;
    log_fini();
    return code;
}
