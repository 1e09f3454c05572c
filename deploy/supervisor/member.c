#include "member.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "os.h"

struct report_message {
    struct port_op op;
    struct member *member;
    struct report report;
};

static void report_done(struct port_op *op)
{
    struct report_message *message = container_of(op, struct report_message, op);
    struct member *member = message->member;

    if (message->report.kind == REPORT_FAILED) {
        snprintf(member->failure, sizeof(member->failure), "%s", message->report.text);
        member_event(member, CHILD_SAYS_FAILED);
    } else {
        member->handler->report(member, &message->report);
    }
    free(message);
}

static void exited_done(struct port_op *op)
{
    struct member *member = container_of(op, struct member, exited);
    bool explained = member->failure[0] != '\0';

    process_destroy(member->process);
    member->process = NULL;
    snprintf(member->reason, sizeof(member->reason), "%s%s%s%s", member->how.text,
             explained ? " (" : "", member->failure, explained ? ")" : "");
    // Before it is ready it may not yet hear that it is asked: no wonder then.
    if (member->child.state == CHILD_STOPPING && member->child.ready_at != 0 && !explained &&
        member->how.code != 0)
        log_warn("member", "%s (process %" PRIu64 ") was asked to stop and ended so: %s",
                 member->name, member->process_id, member->reason);
    member_event(member, CHILD_EXITED);
}

// On the reader's thread.
static void process_line(void *owner, const char *line)
{
    struct member *member = owner;
    struct report_message *message = NULL;
    char text[PROCESS_LINE_MAX + 64];
    struct report report;
    int size;

    report_parse(&report, line);
    if (report.kind != REPORT_NONE && report.kind != REPORT_BAD &&
        member->reports < member->reports_max)
        message = malloc(sizeof(*message));
    if (message) {
        member->reports++;
        *message = (struct report_message){.member = member, .report = report};
        message->op.done = report_done;
        port_post(member->port, &message->op);
        return;
    }
    size = snprintf(text, sizeof(text), "[%s] %.*s\n", member->name, PROCESS_LINE_MAX, line);
    os_log_write(OS_LOG_STDERR, text, (size_t)size);
}

// On the thread that waits for it.
static void process_exited(void *owner, const struct process_exit *how)
{
    struct member *member = owner;

    member->how = *how;
    port_post(member->port, &member->exited);
}

static enum child_event member_spawn(struct member *member)
{
    const struct process_config config = {
        .arguments = (const char *const *)member->plan->arguments.items,
        .environment = (const char *const *)member->plan->environment.items,
        .line = process_line,
        .exited = process_exited,
        .owner = member,
    };
    int rc;

    member->failure[0] = '\0';
    member->reports = 0;
    rc = process_start(&member->process, &config);
    if (rc < 0) {
        member->process = NULL;
        member->process_id = 0;
        snprintf(member->reason, sizeof(member->reason), "cannot start '%.256s': %s",
                 config.arguments[0], error_text(rc));
        return CHILD_SPAWN_FAILED;
    }
    member->process_id = process_id(member->process);
    return CHILD_SPAWNED;
}

void member_init(struct member *member, const struct member_config *config)
{
    *member = (struct member){
        .name = config->name,
        .owner = config->owner,
        .handler = config->handler,
        .plan = config->plan,
        .port = config->port,
        .reports_max = config->reports_max,
        .exited.done = exited_done,
    };
    child_init(&member->child, &config->rules);
}

void member_event(struct member *member, enum child_event event)
{
    enum child_state before = member->child.state;
    enum child_action action = child_event(&member->child, event, os_now_ms());

    if (action == CHILD_SPAWN) {
        event = member_spawn(member);
        action = child_event(&member->child, event, os_now_ms());
        if (event == CHILD_SPAWNED)
            member->handler->changed(member, CHILD_SPAWN);
    }
    CHECK(action != CHILD_WRONG);
    if (member->child.state != before)
        log_debug("member", "%s: %s, was %s", member->name, child_state_text(member->child.state),
                  child_state_text(before));
    if (action == CHILD_ASK)
        process_stop(member->process);
    if (action == CHILD_END)
        process_kill(member->process);
    if (action != CHILD_NOTHING && action != CHILD_ASK)
        member->handler->changed(member, action);
}
