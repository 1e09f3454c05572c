#include <string.h>

#include "log.h"
#include "router.h"

enum { ROUTER_LINKS_MAX = 1024, ROUTER_LOG_LINES_PER_SECOND = 10 };

static struct router *router_of(const struct session *session)
{
    return session->shared->owner;
}

static void router_wait(struct session *session, struct list *queue)
{
    if (list_empty(&session->binding.waiting))
        list_push(queue, &session->binding.waiting);
}

static struct link *router_choose(struct router *router)
{
    struct link *best = NULL;

    for (struct list *node = router->links.next; node != &router->links; node = node->next) {
        struct link *link = container_of(node, struct link, node);

        if (link->state == LINK_UP && (best == NULL || link->load < best->load))
            best = link;
    }
    return best;
}

static void router_bind(struct session *session, struct link *link)
{
    struct binding *binding = &session->binding;

    binding->state = BINDING_CHOSEN;
    binding->link = link;
    binding->epoch++;
    binding->sequence = 0;
    list_push(&link->bound, &binding->of_link);
    link->load++;
}

static void router_unbind(struct session *session)
{
    struct binding *binding = &session->binding;

    if (binding->link != NULL)
        binding->link->load--;
    binding->link = NULL;
    binding->state = BINDING_NONE;
    list_remove(&binding->of_link);
    list_remove(&binding->waiting);
}

// Fills in whose input it is and hands it to the link, which has room.
static void router_deliver(struct session *session, struct envelope *input)
{
    input->session = session->id;
    input->epoch = session->binding.epoch;
    input->sequence = ++session->binding.sequence;
    link_deliver(session->binding.link, input);
}

// True when the session's link takes that much now; otherwise the session waits for its turn.
static bool router_room(struct session *session, size_t bytes)
{
    struct link *link = session->binding.link;
    bool queued = !list_empty(&link->waiting) && router_of(session)->served != session;

    if (!queued && link_room(link, bytes))
        return true;
    router_wait(session, &link->waiting);
    return false;
}

// True once the session's actor knows of it.
static bool router_introduce(struct session *session)
{
    struct router *router = router_of(session);
    struct binding *binding = &session->binding;
    char peer[ADDR_TEXT_MAX];

    if (binding->state == BINDING_NONE) {
        struct link *link = router_choose(router);

        if (link == NULL) {
            router_wait(session, &router->waiting);
            return false;
        }
        router_bind(session, link);
    }
    if (binding->state == BINDING_CHOSEN) {
        if (!router_room(session, 0))
            return false;
        addr_text(&session->peer, peer);
        router_deliver(session, &(struct envelope){.kind = ENVELOPE_OPEN,
                                                   .text = {(uint8_t *)peer, strlen(peer)}});
        binding->state = BINDING_OPEN;
    }
    return true;
}

static bool router_frame(struct session *session, const struct frame *frame)
{
    if (!router_introduce(session) || !router_room(session, frame->prefix.size + frame->body.size))
        return false;
    router_deliver(session, &(struct envelope){.kind = ENVELOPE_FRAME,
                                               .prefix = frame->prefix,
                                               .payload = frame->body});
    return true;
}

static void router_log_close(struct router *router, const struct session *session)
{
    uint64_t second = router->config.sessions->now_ms() / 1000;
    char peer[ADDR_TEXT_MAX];

    if (second != router->log_second) {
        if (router->log_lines > ROUTER_LOG_LINES_PER_SECOND)
            log_info("router", "closed %u more sessions",
                     (unsigned)(router->log_lines - ROUTER_LOG_LINES_PER_SECOND));
        router->log_second = second;
        router->log_lines = 0;
    }
    if (++router->log_lines <= ROUTER_LOG_LINES_PER_SECOND)
        log_info("router", "closing '%s': %s", addr_text(&session->peer, peer),
                 reason_text(session->reason));
}

// The session takes no more input: the actor's last one says so, as soon as there is room.
static void router_conclude(struct session *session)
{
    const char *why = reason_text(session->reason);

    if (session->binding.state == BINDING_CHOSEN)
        router_unbind(session); // the actor never knew
    if (session->binding.state == BINDING_NONE) {
        list_remove(&session->binding.waiting);
        session_finish(session, session->reason);
    } else if (session->binding.state == BINDING_OPEN && router_room(session, 0)) {
        router_deliver(session, &(struct envelope){.kind = ENVELOPE_CLOSE,
                                                   .text = {(const uint8_t *)why, strlen(why)}});
        session->binding.state = BINDING_CLOSED;
    }
}

// The slot is free when the connection is gone and the actor has been told.
static void router_release(struct session *session)
{
    if (session->state != SESSION_CLOSED || session->binding.state == BINDING_OPEN)
        return;
    router_unbind(session);
    session_table_release(router_of(session)->config.table, session);
}

static void router_ending(struct session *session)
{
    if (!reason_is_usual(session->reason))
        router_log_close(router_of(session), session);
    router_conclude(session);
}

// It waited for a link, or for room on one.
static void router_resume(struct session *session)
{
    if (session->state == SESSION_OPEN) {
        if (router_introduce(session))
            session_resume(session);
    } else {
        router_conclude(session);
        router_release(session);
    }
}

// Serves who waits, in order, until one has to wait again: that one stays the first.
static void router_serve(struct router *router, struct list *queue)
{
    struct list todo;
    struct list *node;

    list_init(&todo);
    list_splice(&todo, queue);
    while ((node = list_pop(&todo)) != NULL) {
        struct session *session = container_of(node, struct session, binding.waiting);

        router->served = session;
        router_resume(session);
        router->served = NULL;
        if (!list_empty(queue)) {
            list_splice(queue, &todo);
            return;
        }
    }
}

static void router_up(struct link *link)
{
    struct router *router = link->config->owner;

    router->counts.links_up++;
    log_info("router", "worker %u is up (process %llu, %s)", (unsigned)link->worker,
             (unsigned long long)link->process_id, link->app);
    router_serve(router, &router->waiting);
}

// The effects of CLOSE are dropped: the actor was told that its client is gone.
static void router_apply(struct session *session, const struct link_commit *commit)
{
    if (commit->input == ENVELOPE_CLOSE)
        return;
    for (uint32_t i = 0; i < commit->effect_count; i++) {
        if (commit->effects[i].kind == ENVELOPE_REPLY)
            session_reply(session, commit->effects[i].payload);
        else
            session_finish(session, REASON_ACTOR_CLOSED);
    }
    if (commit->input == ENVELOPE_FRAME)
        session_committed(session, commit->bytes);
}

static void router_commit(struct link *link, const struct link_commit *commit)
{
    struct router *router = link->config->owner;
    struct session *session = session_table_find(router->config.table, commit->session);

    router->counts.commits++;
    if (session == NULL || session->binding.link != link ||
        session->binding.epoch != commit->epoch) {
        router->counts.commits_late++;
        return;
    }
    router_apply(session, commit);
    if (commit->input == ENVELOPE_CLOSE) {
        router_unbind(session);
        session_finish(session, session->reason);
        router_release(session);
    }
}

static void router_link_room(struct link *link)
{
    router_serve(link->config->owner, &link->waiting);
}

static void router_down(struct link *link, const char *why)
{
    struct router *router = link->config->owner;
    uint32_t load = link->load;

    list_remove(&link->node);
    router->link_count--;
    while (!list_empty(&link->bound)) {
        struct session *session = container_of(link->bound.next, struct session, binding.of_link);

        router_unbind(session);
        session_finish(session, REASON_WORKER_LOST);
        router_release(session);
    }
    if (link->app[0] == '\0') {
        log_debug("router", "a link ended before it was up: %s", why);
        return;
    }
    router->counts.links_lost++;
    log_info("router", "worker %u is gone (process %llu): %s; %u sessions closed",
             (unsigned)link->worker, (unsigned long long)link->process_id, why, (unsigned)load);
    if (link->hung)
        router->config.hung(link->worker, link->process_id, why);
}

void router_init(struct router *router, const struct router_config *config)
{
    static const struct session_handler sessions = {
        .frame = router_frame,
        .ending = router_ending,
        .closed = router_release,
    };
    static const struct link_handler links = {
        .up = router_up,
        .commit = router_commit,
        .room = router_link_room,
        .down = router_down,
    };

    *router = (struct router){.config = *config};
    router->config.sessions->handler = &sessions;
    router->config.sessions->owner = router;
    router->config.link.handler = &links;
    router->config.link.owner = router;
    list_init(&router->links);
    list_init(&router->waiting);
}

void router_accept(struct router *router, struct stream *stream)
{
    struct link *link;

    if (router->link_count == ROUTER_LINKS_MAX) {
        log_warn("router", "refused a link: %u are open already", (unsigned)router->link_count);
        stream_close(stream);
        return;
    }
    if (link_open(&link, stream, &router->config.link) != 0) {
        log_error("router", "refused a link: out of memory");
        return;
    }
    list_push(&router->links, &link->node);
    router->link_count++;
}

void router_open(struct router *router, struct session *session)
{
    CHECK(router_of(session) == router);
    (void)router_introduce(session);
}

void router_flush(struct router *router)
{
    for (struct list *node = router->links.next; node != &router->links; node = node->next)
        link_flush(container_of(node, struct link, node));
}

int router_tick(struct router *router)
{
    int next_ms = -1;

    for (struct list *node = router->links.next; node != &router->links; node = node->next) {
        int wait_ms = link_tick(container_of(node, struct link, node));

        if (wait_ms >= 0 && (next_ms < 0 || wait_ms < next_ms))
            next_ms = wait_ms;
    }
    return next_ms;
}

void router_close(struct router *router)
{
    for (struct list *node = router->links.next; node != &router->links; node = node->next)
        link_close(container_of(node, struct link, node), "the gateway stops");
}
