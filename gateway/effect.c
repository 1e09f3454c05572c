#include <stdlib.h>

#include "effect.h"

// A timer keeps its record until the actor has handled it, so that what a session has under way is
// limited as well as what it has set.
enum effect_timer_state {
    EFFECT_TIMER_SET,      // in the queue
    EFFECT_TIMER_FIRED,    // its input is on its way
    EFFECT_TIMER_SET_ANEW, // on its way, and in the queue again
    EFFECT_TIMER_DUE_ANEW, // on its way, and due again: waits until the first is handled
};

struct effect_timer {
    struct timer timer;
    enum effect_timer_state state;
    struct list of_session;
    struct session *session;
    uint64_t tag;
    uint32_t every_ms; // 0 = once
};

static struct effect_timer *effect_timer_find(const struct session *session, uint64_t tag)
{
    for (struct list *node = session->timers.next; node != &session->timers; node = node->next) {
        struct effect_timer *timer = container_of(node, struct effect_timer, of_session);

        if (timer->tag == tag)
            return timer;
    }
    return NULL;
}

static void effect_timer_end(struct effects *effects, struct effect_timer *timer)
{
    timers_cancel(&effects->timers, &timer->timer);
    list_remove(&timer->of_session);
    timer->session->timer_count--;
    free(timer);
}

static void effect_timer_become(struct effect_timer *timer, enum effect_timer_state next)
{
    static const unsigned before[] = {
        [EFFECT_TIMER_SET] = 1U << EFFECT_TIMER_SET | 1U << EFFECT_TIMER_FIRED |
                             1U << EFFECT_TIMER_SET_ANEW | 1U << EFFECT_TIMER_DUE_ANEW,
        [EFFECT_TIMER_FIRED] = 1U << EFFECT_TIMER_SET | 1U << EFFECT_TIMER_FIRED |
                               1U << EFFECT_TIMER_SET_ANEW | 1U << EFFECT_TIMER_DUE_ANEW,
        [EFFECT_TIMER_SET_ANEW] =
            1U << EFFECT_TIMER_FIRED | 1U << EFFECT_TIMER_SET_ANEW | 1U << EFFECT_TIMER_DUE_ANEW,
        [EFFECT_TIMER_DUE_ANEW] = 1U << EFFECT_TIMER_SET_ANEW,
    };

    CHECK(before[next] & 1U << timer->state);
    timer->state = next;
}

static void effect_timer_set(struct effects *effects, struct effect_timer *timer, uint64_t due_ms)
{
    struct session *session = timer->session;

    if (timers_set(&effects->timers, &timer->timer, due_ms) != 0) {
        effect_timer_end(effects, timer);
        session_abort(session, REASON_OUT_OF_MEMORY);
    }
}

static void effect_timer(struct effects *effects, struct session *session,
                         const struct envelope *effect)
{
    uint64_t due_ms = effects->config.sessions->now_ms() + effect->after_ms;
    struct effect_timer *timer = effect_timer_find(session, effect->tag);

    if (timer == NULL && session->timer_count == EFFECT_TIMERS_MAX) {
        session_finish(session, REASON_ACTOR_LIMIT);
        return;
    }
    if (timer == NULL) {
        timer = calloc(1, sizeof(*timer));
        if (timer == NULL) {
            session_abort(session, REASON_OUT_OF_MEMORY);
            return;
        }
        timer->session = session;
        timer->tag = effect->tag;
        list_push(&session->timers, &timer->of_session);
        session->timer_count++;
    }
    effect_timer_become(timer, timer->state == EFFECT_TIMER_SET ? EFFECT_TIMER_SET
                                                                : EFFECT_TIMER_SET_ANEW);
    timer->every_ms = effect->every_ms;
    effect_timer_set(effects, timer, due_ms);
}

static void effect_cancel(struct effects *effects, struct session *session, uint64_t tag)
{
    struct effect_timer *timer = effect_timer_find(session, tag);

    if (timer == NULL)
        return;
    if (timer->state == EFFECT_TIMER_SET) {
        effect_timer_end(effects, timer);
        return;
    }
    timers_cancel(&effects->timers, &timer->timer);
    timer->every_ms = 0;
    effect_timer_become(timer, EFFECT_TIMER_FIRED);
}

static void effect_join(struct effects *effects, struct session *session, struct bytes name)
{
    int error = groups_join(&effects->groups, name, session, &session->memberships);

    if (error < 0) {
        session_abort(session, error == -ENOMEM ? REASON_OUT_OF_MEMORY : REASON_ACTOR_LIMIT);
    } else if (error == 1 && session->membership_count == EFFECT_GROUPS_MAX) {
        (void)groups_leave(&effects->groups, name, &session->memberships);
        session_finish(session, REASON_ACTOR_LIMIT);
    } else if (error == 1) {
        session->membership_count++;
    }
}

static void effect_send(struct effects *effects, const struct envelope *effect)
{
    struct session *session = session_table_find(effects->config.table, effect->session);

    // A client that has gone is nobody's error: the sender could not know.
    if (session != NULL)
        session_reply(session, effect->payload);
}

// One frame for all members of this shard, encoded once.
static void effect_publish(struct effects *effects, const struct envelope *effect)
{
    struct membership *membership = groups_first(&effects->groups, effect->text);
    struct frame_wire wire;

    if (membership == NULL ||
        frame_encode(&effects->config.sessions->codec, effect->payload, &wire) != 0)
        return;
    while (membership != NULL) {
        struct session *session = membership->member;

        membership = groups_next(membership);
        if (session->id != effect->session)
            session_reply_wire(session, &wire);
    }
}

// A frame for others. One that the clients' codec cannot carry is the sender's fault, and costs
// only the sender.
static void effect_to_others(struct effects *effects, struct session *session,
                             const struct envelope *effect)
{
    struct frame_wire wire;

    if (frame_encode(&effects->config.sessions->codec, effect->payload, &wire) != 0) {
        session_finish(session, REASON_BAD_REPLY);
        return;
    }
    if (effect->kind == ENVELOPE_PUBLISH)
        effect_publish(effects, effect);
    else if (session_table_owns(effects->config.table, effect->session))
        effect_send(effects, effect);
    if (effect->kind == ENVELOPE_PUBLISH ||
        !session_table_owns(effects->config.table, effect->session))
        effects->config.elsewhere(effects->config.owner, effect);
}

void effects_init(struct effects *effects, const struct effects_config *config)
{
    *effects = (struct effects){.config = *config};
}

void effects_fini(struct effects *effects)
{
    timers_fini(&effects->timers);
    groups_fini(&effects->groups);
}

void effects_apply(struct effects *effects, struct session *session, const struct envelope *effect)
{
    switch (effect->kind) {
    case ENVELOPE_REPLY:
        session_reply(session, effect->payload);
        break;
    case ENVELOPE_STATE:
        if (ledger_state_set(&session->actor, effect->state_version, effect->payload) != 0)
            session_abort(session, REASON_OUT_OF_MEMORY); // it could not be restored any more
        break;
    case ENVELOPE_END:
        session_finish(session, REASON_ACTOR_CLOSED);
        break;
    case ENVELOPE_SEND:
    case ENVELOPE_PUBLISH:
        effect_to_others(effects, session, effect);
        break;
    case ENVELOPE_JOIN:
        effect_join(effects, session, effect->text);
        break;
    case ENVELOPE_LEAVE:
        session->membership_count -=
            groups_leave(&effects->groups, effect->text, &session->memberships);
        break;
    case ENVELOPE_TIMER:
        effect_timer(effects, session, effect);
        break;
    case ENVELOPE_CANCEL:
        effect_cancel(effects, session, effect->tag);
        break;
    default:
        CHECK(!"an effect");
    }
}

void effects_arrive(struct effects *effects, const struct envelope *effect)
{
    if (effect->kind == ENVELOPE_SEND)
        effect_send(effects, effect);
    else
        effect_publish(effects, effect);
}

uint64_t effects_next_ms(const struct effects *effects)
{
    return timers_next_ms(&effects->timers);
}

bool effects_fire(struct effects *effects, uint64_t now_ms, struct session **out_session,
                  uint64_t *out_tag)
{
    struct timer *due;

    while ((due = timers_pop(&effects->timers, now_ms)) != NULL) {
        struct effect_timer *timer = container_of(due, struct effect_timer, timer);

        if (timer->state == EFFECT_TIMER_SET_ANEW) {
            effect_timer_become(timer, EFFECT_TIMER_DUE_ANEW);
            continue;
        }
        effect_timer_become(timer, EFFECT_TIMER_FIRED);
        *out_session = timer->session;
        *out_tag = timer->tag;
        return true;
    }
    return false;
}

// On its beat, but beats that were missed are not made up for.
static uint64_t effect_timer_beat(const struct effect_timer *timer, uint64_t now_ms)
{
    uint64_t due_ms = timer->timer.due_ms + timer->every_ms;

    if (due_ms < now_ms)
        due_ms += (now_ms - due_ms + timer->every_ms - 1) / timer->every_ms * timer->every_ms;
    return due_ms;
}

void effects_fired(struct effects *effects, struct session *session, uint64_t tag)
{
    struct effect_timer *timer = effect_timer_find(session, tag);
    uint64_t due_ms;

    // When there was no memory to set it anew, it is no more, and the session is ending.
    if (timer == NULL || timer->state == EFFECT_TIMER_SET)
        return;
    if (timer->state == EFFECT_TIMER_FIRED && timer->every_ms == 0) {
        effect_timer_end(effects, timer);
        return;
    }
    due_ms = timer->timer.due_ms;
    if (timer->state == EFFECT_TIMER_FIRED)
        due_ms = effect_timer_beat(timer, effects->config.sessions->now_ms());
    effect_timer_become(timer, EFFECT_TIMER_SET);
    if (!timer_is_set(&timer->timer))
        effect_timer_set(effects, timer, due_ms);
}

void effects_forget(struct effects *effects, struct session *session)
{
    while (!list_empty(&session->timers))
        effect_timer_end(effects,
                         container_of(session->timers.next, struct effect_timer, of_session));
    groups_leave_all(&effects->groups, &session->memberships);
    session->membership_count = 0;
}
