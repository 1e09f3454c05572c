#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "router.h"

enum {
    ROUTER_LINKS_MAX = 1024,
    ROUTER_LOOK_MS = 60 * 1000, // longest wait for a timer
};

static struct router *router_of(const struct session *session)
{
    return session->shared->owner;
}

static struct session *router_session(struct ledger_actor *actor)
{
    return container_of(actor, struct session, actor);
}

static struct link *router_link(const struct session *session)
{
    return session->actor.lane == NULL ? NULL : session->actor.lane->owner;
}

static void router_wait(struct session *session, struct list *queue)
{
    if (list_empty(&session->actor.waiting))
        list_push(queue, &session->actor.waiting);
}

static struct link *router_choose(struct router *router)
{
    struct link *best = NULL;

    for (struct list *node = router->links.next; node != &router->links; node = node->next) {
        struct link *link = container_of(node, struct link, node);

        if (link->state == LINK_UP && (best == NULL || link->lane->load < best->lane->load))
            best = link;
    }
    return best;
}

// The slot is free when the connection is gone and the actor is concluded.
static void router_release(struct session *session)
{
    if (session->state == SESSION_CLOSED && session->binding == BINDING_NONE)
        session_table_release(router_of(session)->config.table, session);
}

// The actor is no more; what it still had to do is dropped.
static void router_forget(struct session *session)
{
    effects_forget(&router_of(session)->effects, session);
    ledger_actor_fini(&session->actor);
    session->binding = BINDING_NONE;
    session_finish(session, session->reason);
    router_release(session);
}

static bool router_idle(const struct session *session)
{
    return session->actor.delivered == session->actor.committed;
}

// True when the session's worker wants to be rid of it, and another could take it.
static bool router_outstays(const struct session *session)
{
    return router_link(session)->state == LINK_LEAVING && router_choose(router_of(session)) != NULL;
}

// True when the session is bound; otherwise it waits for a link.
static bool router_bind(struct session *session)
{
    struct router *router = router_of(session);
    struct link *link;

    if (session->actor.lane != NULL && router_idle(session) && router_outstays(session)) {
        list_remove(&session->actor.waiting); // it may stand in line at the old link
        ledger_unbind(&session->actor);
    }
    if (session->actor.lane != NULL)
        return true;
    link = router_choose(router);
    if (link == NULL) {
        router_wait(session, &router->waiting);
        return false;
    }
    ledger_bind(&session->actor, link->lane);
    return true;
}

// Where it waits at its link: suspects, who go one by one, do not hold up the others.
static struct list *router_queue(const struct session *session)
{
    struct link *link = router_link(session);

    return session->actor.trust == LEDGER_TRUSTED ? &link->waiting : &link->suspects;
}

// True when an input of so many bytes may go out now; otherwise the session waits for its turn.
static bool router_room(struct session *session, size_t bytes)
{
    struct list *queue;

    if (!router_bind(session))
        return false;
    queue = router_queue(session);
    // A link that is closing sends nothing: what went there would be blamed for its end. Nor is a
    // suspect sent to a worker that may be gone already.
    if (router_link(session)->state == LINK_CLOSING ||
        (session->actor.trust != LEDGER_TRUSTED && !link_proven(router_link(session)))) {
        router_wait(session, queue);
        return false;
    }
    // Who outstays its welcome gets nothing more before it moves, at the end of its turns.
    if ((list_empty(queue) || router_of(session)->served == session) && !router_outstays(session) &&
        ledger_ready(&session->actor, bytes))
        return true;
    router_wait(session, queue);
    return false;
}

// False when there was no memory: the link ends with it, and the input is offered again.
static bool router_deliver(struct session *session, struct ledger_input *input)
{
    struct link *link = router_link(session);
    bool restore = ledger_restore_due(&session->actor);

    if (ledger_deliver(&session->actor, input) != 0) {
        link_drop(link, "out of memory");
        router_wait(session, router_queue(session));
        return false;
    }
    if (restore)
        link_restore(link, &session->actor);
    link_deliver(link, &session->actor, input);
    return true;
}

// The first and the last input of an actor are made from the session when it is their turn.
static bool router_say(struct session *session, enum envelope_kind kind, const char *text,
                       enum binding next)
{
    struct ledger_input input = {.kind = kind,
                                 .now_ms = router_of(session)->config.utc_ms(),
                                 .payload = {(const uint8_t *)text, strlen(text)}};

    if (!router_room(session, input.payload.size) || !router_deliver(session, &input))
        return false;
    session->binding = next;
    return true;
}

// Delivers what waits in the gateway, in order. True when nothing is left: frames may follow.
static bool router_drain(struct session *session)
{
    struct ledger_input input;
    char peer[ADDR_TEXT_MAX];

    while (ledger_queue_head(&session->actor, &input)) {
        if (!router_room(session, input.prefix.size + input.payload.size) ||
            !router_deliver(session, &input))
            return false;
        ledger_queue_pop(&session->actor);
        // A timer's input waits in the queue the first time, too.
        router_of(session)->counts.replayed += input.kind != ENVELOPE_FIRED;
    }
    if (session->binding == BINDING_NEW)
        return router_say(session, ENVELOPE_OPEN, addr_text(&session->peer, peer), BINDING_OPEN);
    if (session->binding == BINDING_CLOSING)
        return router_say(session, ENVELOPE_CLOSE, reason_text(session->reason), BINDING_CLOSED);
    return true;
}

static bool router_frame(struct session *session, const struct frame *frame)
{
    struct ledger_input input = {.kind = ENVELOPE_FRAME,
                                 .now_ms = router_of(session)->config.utc_ms(),
                                 .prefix = frame->prefix,
                                 .payload = frame->body};

    return router_drain(session) && router_room(session, frame->prefix.size + frame->body.size) &&
           router_deliver(session, &input);
}

// The session takes no more input: the actor's last one will say so.
static void router_ending(struct session *session)
{
    if (!reason_is_usual(session->reason))
        close_log_write(&router_of(session)->close_log, session);
    if (session->binding == BINDING_NEW) {
        ledger_unbind(&session->actor); // the actor never knew
        router_forget(session);
    } else if (session->binding == BINDING_OPEN) {
        session->binding = BINDING_CLOSING;
        (void)router_drain(session);
    }
}

// It waited for a link, or for room on one.
static void router_resume(struct session *session)
{
    if (router_drain(session) && session->state == SESSION_OPEN)
        session_resume(session);
}

// Serves who waits, in order, until one has to wait again: that one stays the first.
static void router_serve(struct router *router, struct list *queue)
{
    struct list todo;
    struct list *node;

    list_init(&todo);
    list_splice(&todo, queue);
    while ((node = list_pop(&todo)) != NULL) {
        struct ledger_actor *actor = container_of(node, struct ledger_actor, waiting);

        router->served = router_session(actor);
        router_resume(router->served);
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
    log_info("router", "worker %u is up (process %" PRIu64 ", %s)", (unsigned)link->worker,
             link->process_id, link->app);
    router_serve(router, &router->waiting);
}

// The effects of CLOSE on its own client are nothing any more; what it does to others counts.
static void router_apply(struct router *router, struct session *session,
                         const struct link_commit *commit)
{
    const struct ledger_input *input = &commit->input;
    uint64_t tag = 0;

    // Before anything is delivered: the input's bytes are lent only until then.
    if (input->kind == ENVELOPE_FIRED)
        memcpy(&tag, input->payload.data, sizeof(tag));
    for (uint32_t i = 0; i < commit->effect_count; i++) {
        enum envelope_kind kind = commit->effects[i].kind;

        if (input->kind != ENVELOPE_CLOSE || kind == ENVELOPE_SEND || kind == ENVELOPE_PUBLISH)
            effects_apply(&router->effects, session, &commit->effects[i]);
    }
    if (input->kind == ENVELOPE_FRAME)
        session_committed(session, (uint32_t)(input->prefix.size + input->payload.size));
    if (input->kind == ENVELOPE_FIRED)
        effects_fired(&router->effects, session, tag);
}

// An actor with nothing under way leaves a worker that is leaving.
static void router_move(struct session *session)
{
    if (!router_idle(session) || !router_outstays(session))
        return;
    list_remove(&session->actor.waiting);
    ledger_unbind(&session->actor);
    router_resume(session);
}

static void router_commit(struct link *link, const struct link_commit *commit)
{
    struct router *router = link->config->owner;
    struct session *session = router_session(commit->actor);

    router->counts.commits++;
    router_apply(router, session, commit);
    if (commit->cleared) {
        // It need not stand in line with the suspects any more.
        list_remove(&session->actor.waiting);
        router_resume(session);
    }
    if (commit->input.kind == ENVELOPE_CLOSE) {
        ledger_unbind(&session->actor);
        router_forget(session);
    } else if (link->state == LINK_LEAVING) {
        router_move(session);
    }
    if (link->state == LINK_LEAVING && link->lane->load == 0)
        link_drained(link);
}

static void router_leaving(struct link *link)
{
    struct list *node = link->lane->bound.next;

    log_info("router", "worker %u is leaving", (unsigned)link->worker);
    while (node != &link->lane->bound) {
        struct ledger_actor *actor = container_of(node, struct ledger_actor, of_lane);

        node = node->next;
        router_move(router_session(actor));
    }
    if (link->lane->load == 0)
        link_drained(link);
}

static void router_link_room(struct link *link)
{
    router_serve(link->config->owner, &link->suspects);
    if (list_empty(&link->suspects) && link->lane->suspect == NULL)
        link_doubt(link);
    router_serve(link->config->owner, &link->waiting);
}

// A link whose actors are being moved.
struct router_loss {
    struct router *router;
    const struct link *link;
    const char *why;
};

static void router_poison(struct session *session, const struct router_loss *loss)
{
    struct router *router = loss->router;
    struct ledger_input input;

    router->counts.poisoned++;
    if (ledger_queue_head(&session->actor, &input)) {
        input.sequence = session->actor.committed + 1;
        router->config.poisoned(session, &input, loss->link, loss->why);
    }
    if (session->state == SESSION_OPEN) {
        session->binding = BINDING_NONE; // it gets no last input: that could end a worker, too
        session_finish(session, REASON_POISONED);
    }
    router_forget(session);
}

// What the link's worker owed is back in the actor's queue.
static void router_lost(void *context, struct ledger_actor *actor, bool kept)
{
    const struct router_loss *loss = context;
    struct router *router = loss->router;
    struct session *session = router_session(actor);

    list_remove(&actor->waiting);
    if (!kept) {
        session->binding = BINDING_NONE;
        session_abort(session, REASON_OUT_OF_MEMORY);
        router_forget(session);
    } else if (router->state == ROUTER_CLOSING) {
        session->binding = BINDING_NONE;
        session_finish(session, REASON_SHUTDOWN);
        router_forget(session);
    } else if (actor->strikes >= router->config.poison_strikes) {
        router_poison(session, loss);
    } else {
        router_resume(session);
    }
}

static void router_down(struct link *link, const char *why)
{
    struct router *router = link->config->owner;
    struct router_loss loss = {router, link, why};
    uint32_t load = link->lane->load;

    list_remove(&link->node);
    router->link_count--;
    ledger_lose(link->lane, router->state == ROUTER_RUNNING && !link->ours, router_lost, &loss);
    if (link->app[0] == '\0') {
        log_debug("router", "a link ended before it was up: %s", why);
        return;
    }
    router->counts.links_lost++;
    log_info("router", "worker %u is gone (process %" PRIu64 "): %s; %u actors move",
             (unsigned)link->worker, link->process_id, why, (unsigned)load);
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
        .leaving = router_leaving,
        .down = router_down,
    };

    *router = (struct router){.config = *config};
    router->config.sessions->handler = &sessions;
    router->config.sessions->owner = router;
    router->config.link.handler = &links;
    router->config.link.owner = router;
    list_init(&router->links);
    list_init(&router->waiting);
    effects_init(&router->effects, &(struct effects_config){.sessions = config->sessions,
                                                            .table = config->table,
                                                            .elsewhere = config->elsewhere,
                                                            .owner = config->owner});
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
    CHECK(router_of(session) == router && session->binding == BINDING_NONE);
    session->binding = BINDING_NEW;
    (void)router_drain(session);
}

void router_flush(struct router *router)
{
    for (struct list *node = router->links.next; node != &router->links; node = node->next)
        link_flush(container_of(node, struct link, node));
}

// Timers that are due become inputs, in front of the frames that still wait.
static int router_fire(struct router *router)
{
    uint64_t now_ms = router->config.sessions->now_ms();
    struct session *session;
    uint64_t next_ms;
    uint64_t tag;

    while (effects_fire(&router->effects, now_ms, &session, &tag)) {
        struct ledger_input input = {.kind = ENVELOPE_FIRED,
                                     .now_ms = router->config.utc_ms(),
                                     .payload = {(const uint8_t *)&tag, sizeof(tag)}};

        if (session->binding != BINDING_OPEN)
            continue;
        if (ledger_queue_push(&session->actor, &input) == 0)
            (void)router_drain(session);
        else
            session_abort(session, REASON_OUT_OF_MEMORY);
    }
    next_ms = effects_next_ms(&router->effects);
    if (next_ms == TIMER_NEVER)
        return -1;
    return next_ms - now_ms > ROUTER_LOOK_MS ? ROUTER_LOOK_MS : (int)(next_ms - now_ms);
}

int router_tick(struct router *router)
{
    int next_ms = router_fire(router);

    for (struct list *node = router->links.next; node != &router->links; node = node->next) {
        int wait_ms = link_tick(container_of(node, struct link, node));

        if (wait_ms >= 0 && (next_ms < 0 || wait_ms < next_ms))
            next_ms = wait_ms;
    }
    return next_ms;
}

void router_close(struct router *router)
{
    struct router_loss loss = {.router = router};
    struct list *node;

    router->state = ROUTER_CLOSING;
    while ((node = list_pop(&router->waiting)) != NULL)
        router_lost(&loss, container_of(node, struct ledger_actor, waiting), true);
    for (node = router->links.next; node != &router->links; node = node->next)
        link_drop(container_of(node, struct link, node), "the gateway stops");
}

void router_fini(struct router *router)
{
    effects_fini(&router->effects);
}
