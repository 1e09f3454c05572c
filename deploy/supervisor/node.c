#include "node.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "log.h"
#include "member.h"
#include "os.h"
#include "port.h"
#include "report.h"

enum {
    WORKER_START_DEATHS_MAX = CHILD_LOOP_DEATHS,
    WORKER_REPORTS_MAX = 16,
    // A wrapper (timeout, a shell's trap) often passes on the signal that the terminal sent us too:
    // within this time it is the same request.
    STOP_ECHO_MS = 200,
    NAME_MAX_BYTES = 24, // "worker 4294967295"
};

enum node_state {
    NODE_STARTING, // not everything has been ready yet
    NODE_RUNNING,
    NODE_STOPPING_GATEWAY,
    NODE_STOPPING_WORKERS,
    NODE_STOPPED,
};

struct node {
    const struct config *config;
    struct plan *plan;
    struct port *port;
    enum node_state state;
    uint64_t started_at;   // ms
    uint32_t stops;        // times we were asked to stop
    uint64_t stopped_at;   // ms; the first of them
    uint32_t early_deaths; // while starting
    int exit_code;
    char listen[ADDR_TEXT_MAX]; // where the gateway really listens; empty until it says so
    uint32_t member_count;
    struct member *members; // [0] is the gateway
    char (*names)[NAME_MAX_BYTES];
};

struct stop_message {
    struct port_op op;
    struct node *node;
};

static double seconds(uint64_t ms)
{
    return (double)ms / 1000.0;
}

static struct member *gateway_of(struct node *node)
{
    return &node->members[0];
}

// The end of a start: also where the user looks, when the log goes to a file.
static BASE_PRINTF(2, 3) void node_error(const struct node *node, const char *format, ...)
{
    char text[1536];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_error("node", "%s", text);
    if (node->config->node.log_file[0] != '\0')
        fprintf(stderr, "troupe: %s; more in '%s'\n", text, node->config->node.log_file);
}

static void node_stop(struct node *node, int exit_code)
{
    if (exit_code > node->exit_code)
        node->exit_code = exit_code;
    if (node->state >= NODE_STOPPING_GATEWAY)
        return;
    node->state = NODE_STOPPING_GATEWAY;
    member_event(gateway_of(node), CHILD_STOP);
    for (uint32_t i = 1; i < node->member_count; i++) {
        struct member *worker = &node->members[i];

        if (!child_alive(&worker->child)) // the others wait for the gateway
            member_event(worker, CHILD_STOP);
    }
}

// Goes on with the stop when a step of it is complete.
static void node_advance(struct node *node)
{
    if (node->state == NODE_STOPPING_GATEWAY && gateway_of(node)->child.state == CHILD_STOPPED) {
        node->state = NODE_STOPPING_WORKERS;
        for (uint32_t i = 1; i < node->member_count; i++)
            member_event(&node->members[i], CHILD_STOP);
    }
    if (node->state == NODE_STOPPING_WORKERS) {
        for (uint32_t i = 1; i < node->member_count; i++) {
            if (node->members[i].child.state != CHILD_STOPPED)
                return;
        }
        node->state = NODE_STOPPED;
    }
}

static void stop_done(struct port_op *op)
{
    struct stop_message *message = container_of(op, struct stop_message, op);
    struct node *node = message->node;
    uint64_t now = os_now_ms();

    free(message);
    if (node->stops > 0 && now - node->stopped_at < STOP_ECHO_MS)
        return;
    node->stops++;
    if (node->stops == 1) {
        node->stopped_at = now;
        log_info("node", "stopping '%s'", node->config->node.name);
        node_stop(node, 0);
    } else if (node->stops == 2) {
        log_warn("node", "asked to stop again, killing what is left");
        for (uint32_t i = 0; i < node->member_count; i++)
            member_event(&node->members[i], CHILD_KILL);
    }
}

// On the stop signal's thread.
static void node_stop_signal(void *context)
{
    struct node *node = context;
    struct stop_message *message = malloc(sizeof(*message));

    if (!message) // the sender will ask again
        return;
    *message = (struct stop_message){.node = node};
    message->op.done = stop_done;
    port_post(node->port, &message->op);
}

static void node_start_workers(struct node *node)
{
    for (uint32_t i = 1; i < node->member_count && node->state == NODE_STARTING; i++)
        member_event(&node->members[i], CHILD_START);
}

static void node_check_ready(struct node *node)
{
    char line[ADDR_TEXT_MAX + 128];
    uint32_t workers = node->member_count - 1;
    int size;

    if (node->state != NODE_STARTING)
        return;
    for (uint32_t i = 0; i < node->member_count; i++) {
        if (node->members[i].child.state != CHILD_READY)
            return;
    }
    node->state = NODE_RUNNING;
    for (uint32_t i = 0; i < node->member_count; i++)
        member_event(&node->members[i], CHILD_SETTLE);
    log_info("node",
             "'%s' is ready after %.3f s: listen '%s', shards %" PRIu32 ", workers %" PRIu32,
             node->config->node.name, seconds(os_now_ms() - node->started_at), node->listen,
             node->plan->shards, workers);
    size = snprintf(line, sizeof(line),
                    "ready: listen=%s workers=%" PRIu32 " pid=%" PRIu64 " supervisor=%" PRIu64 "\n",
                    node->listen, workers, gateway_of(node)->process_id, os_process_id());
    os_write_stdout(line, (size_t)size);
}

static void gateway_is_ready(struct member *gateway, const char *listen)
{
    struct node *node = gateway->owner;
    struct net_addr addr;

    if (addr_parse(listen, &addr, NULL) < 0) {
        log_warn("node", "gateway reported that it listens on '%s', which is no address", listen);
        return;
    }
    if (node->listen[0] == '\0') {
        addr_text(&addr, node->listen);
        if (node->config->gateway.listen.port == 0 && plan_fix_listen(node->plan, node->listen) < 0)
            log_warn("node", "out of memory: a gateway started again will take another port");
    }
    member_event(gateway, CHILD_SAYS_READY);
    node_start_workers(node);
}

static void worker_is_hung(struct node *node, const struct report *report)
{
    struct member *worker;

    if (report->worker >= node->plan->worker_count)
        return;
    worker = &node->members[1 + report->worker];
    if (!worker->process || worker->process_id != report->process_id)
        return; // a predecessor, gone meanwhile
    if (worker->child.state != CHILD_STARTING && worker->child.state != CHILD_READY)
        return; // each shard may say so, and one is enough
    log_warn("node", "%s (process %" PRIu64 ") hangs: %s; killing it", worker->name,
             worker->process_id, report->text);
    member_event(worker, CHILD_HUNG);
}

static void member_report(struct member *member, const struct report *report)
{
    struct node *node = member->owner;
    bool is_gateway = member == gateway_of(node);

    if (report->kind == REPORT_HUNG && is_gateway)
        worker_is_hung(node, report);
    else if (report->kind == REPORT_READY && is_gateway)
        gateway_is_ready(member, report->text);
    else if (report->kind == REPORT_READY)
        member_event(member, CHILD_SAYS_READY);
}

// Repetitions are for debug: one line tells of a start that does not come about, or of a loop.
static enum log_level level_of(const struct member *member, enum log_level level)
{
    const struct node *node = member->owner;
    bool again = node->state == NODE_STARTING ? node->early_deaths > 1
                                              : member->child.streak > CHILD_LOOP_DEATHS;

    return again ? LOG_DEBUG : level;
}

static void member_started(struct member *member)
{
    // Its first start is always told.
    log_write(member->child.lives == 1 ? LOG_INFO : level_of(member, LOG_INFO), "node",
              "started %s, process %" PRIu64, member->name, member->process_id);
}

static void member_died(struct member *member, enum child_action action)
{
    struct node *node = member->owner;
    const struct child *child = &member->child;
    uint64_t now = os_now_ms();

    if (node->state == NODE_STARTING)
        node->early_deaths++;
    if (node->state >= NODE_STOPPING_GATEWAY) {
        member_event(member, CHILD_STOP);
    } else if (action == CHILD_REPORT_LOOP) {
        log_error("node",
                  "%s keeps ending, %d times in a row, the last time: %s; from now on it starts "
                  "every %d s",
                  member->name, CHILD_LOOP_DEATHS, member->reason, CHILD_BACK_OFF_MAX_MS / 1000);
    } else {
        log_write(level_of(member, LOG_WARN), "node",
                  "%s (process %" PRIu64 ") ended after %.3f s: %s; starts again in %" PRIu64 " ms",
                  member->name, member->process_id, seconds(now - child->spawned_at),
                  member->reason, child->deadline > now ? child->deadline - now : 0);
    }
}

static void member_given_up(struct member *member)
{
    struct node *node = member->owner;

    if (node->state >= NODE_STOPPING_GATEWAY) // one reason is enough
        return;
    if (member->child.failed || member->child.streak == 1)
        node_error(node, "%s ended during start: %s", member->name, member->reason);
    else
        node_error(node, "%s ended during start, %" PRIu32 " times in a row, the last time: %s",
                   member->name, member->child.streak, member->reason);
    node_stop(node, 1);
}

static void member_became_ready(struct member *member)
{
    struct node *node = member->owner;
    uint64_t took = member->child.ready_at - member->child.spawned_at;

    if (node->state == NODE_RUNNING)
        log_write(level_of(member, LOG_INFO), "node", "%s is ready again after %.3f s",
                  member->name, seconds(took));
    else
        log_debug("node", "%s is ready after %.3f s", member->name, seconds(took));
    node_check_ready(node);
}

static void member_killed(struct member *member)
{
    struct node *node = member->owner;

    if (member->child.state != CHILD_KILLED) // a hung worker, that is no failure of the stop
        return;
    node->exit_code = 1;
    log_warn("node", "%s (process %" PRIu64 ") did not stop by itself, killed it", member->name,
             member->process_id);
}

static void member_changed(struct member *member, enum child_action action)
{
    switch (action) {
    case CHILD_SPAWN:
        member_started(member);
        break;
    case CHILD_REPORT_READY:
        member_became_ready(member);
        break;
    case CHILD_REPORT_SLOW:
        log_warn("node", "%s (process %" PRIu64 ") is not ready after %d s, still waiting",
                 member->name, member->process_id, CHILD_SLOW_MS / 1000);
        break;
    case CHILD_REPORT_DEATH:
    case CHILD_REPORT_LOOP:
        member_died(member, action);
        break;
    case CHILD_GIVE_UP:
        member_given_up(member);
        break;
    case CHILD_END:
        member_killed(member);
        break;
    case CHILD_DONE: // node_advance() looks at the states
        break;
    default:
        CHECK(action == CHILD_NOTHING);
    }
}

static int node_poll(struct node *node)
{
    uint64_t deadline = CHILD_NEVER;
    uint64_t now = os_now_ms();
    int timeout_ms = -1;
    int rc;

    for (uint32_t i = 0; i < node->member_count; i++) {
        if (node->members[i].child.deadline < deadline)
            deadline = node->members[i].child.deadline;
    }
    if (deadline != CHILD_NEVER)
        timeout_ms = deadline <= now ? 0 : deadline - now > 60000 ? 60000 : (int)(deadline - now);
    rc = port_poll(node->port, timeout_ms);
    if (rc < 0) {
        log_error("node", "cannot wait for events: %s", error_text(rc));
        return rc;
    }
    for (uint32_t i = 0; i < node->member_count; i++)
        member_event(&node->members[i], CHILD_TICK);
    return 0;
}

static int node_take_place(const struct node *node)
{
    const char *folder = node->config->node.runtime_dir;
    const char *name = node->config->node.name;
    uint64_t holder = 0;
    int rc = os_make_private_folder(folder);

    if (rc < 0) {
        node_error(node, "cannot use node.runtime_dir '%s': %s", folder, error_text(rc));
        return rc;
    }
    rc = os_lock(folder, name, &holder);
    if (rc == -EBUSY && holder != 0)
        node_error(node, "node '%s' is already running (process %" PRIu64 ")", name, holder);
    else if (rc == -EBUSY)
        node_error(node, "node '%s' is already running", name);
    else if (rc < 0)
        node_error(node, "cannot lock node '%s' in '%s': %s", name, folder, error_text(rc));
    return rc;
}

static void node_init_members(struct node *node)
{
    static const struct member_handler handler = {member_report, member_changed};
    uint64_t seed;

    os_random(&seed, sizeof(seed));
    for (uint32_t i = 0; i < node->member_count; i++) {
        bool is_gateway = i == 0;
        const struct member_config config = {
            .name = node->names[i],
            .plan = is_gateway ? &node->plan->gateway : &node->plan->workers[i - 1],
            .port = node->port,
            .handler = &handler,
            .owner = node,
            .rules.start_deaths_max = is_gateway ? 1 : WORKER_START_DEATHS_MAX,
            .rules.stop_timeout_ms = node->config->node.stop_timeout_ms / 2,
            .rules.seed = seed + i,
            .reports_max = is_gateway ? UINT32_MAX : WORKER_REPORTS_MAX, // the gateway is ours
        };

        if (is_gateway)
            snprintf(node->names[i], NAME_MAX_BYTES, "gateway");
        else
            snprintf(node->names[i], NAME_MAX_BYTES, "worker %" PRIu32, i - 1);
        member_init(&node->members[i], &config);
    }
}

int node_create(struct node **out_node, const struct config *config, struct plan *plan)
{
    const struct port_config port_config = {.op_count_max = 1}; // it only carries posts
    struct node *node = calloc(1, sizeof(*node));
    int rc;

    CHECK(node != NULL);
    node->config = config;
    node->plan = plan;
    node->state = NODE_STARTING;
    node->member_count = 1 + plan->worker_count;
    node->members = calloc(node->member_count, sizeof(*node->members));
    node->names = calloc(node->member_count, sizeof(*node->names));
    CHECK(node->members && node->names);
    rc = node_take_place(node);
    if (rc < 0)
        goto fail;
    rc = port_create(&node->port, &port_config);
    if (rc < 0) {
        node_error(node, "cannot create a port: %s", error_text(rc));
        goto fail;
    }
    node_init_members(node);
    os_on_stop(node_stop_signal, node);
    *out_node = node;
    return 0;

fail:
    free(node->names);
    free(node->members);
    free(node);
    return rc;
}

int node_run(struct node *node)
{
    uint32_t restarts = 0;

    node->started_at = os_now_ms();
    member_event(gateway_of(node), CHILD_START);
    for (;;) {
        node_advance(node);
        if (node->state == NODE_STOPPED)
            break;
        if (node_poll(node) < 0)
            return 1; // what runs dies with us
    }
    for (uint32_t i = 0; i < node->member_count; i++) {
        if (node->members[i].child.lives > 1)
            restarts += node->members[i].child.lives - 1;
    }
    // A start that failed has had its line.
    log_write(gateway_of(node)->child.settled || node->exit_code == 0 ? LOG_INFO : LOG_DEBUG,
              "node", "'%s' is stopped after %.3f s, restarts %" PRIu32, node->config->node.name,
              seconds(os_now_ms() - node->started_at), restarts);
    return node->exit_code;
}
