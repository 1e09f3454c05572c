// Goal: effects do what they say to whom they may, within their limits; timers fire once for each
// time they are set, and never while their last firing waits for its turn. Method: sessions with
// clients on the port in memory, effects as a link would bring them, a clock of the test's; for
// timers seeded random steps beside a model of each timer.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "effect.h"
#include "rig.h"

enum { CLIENTS = 6, OUTBOX_MAX = 4096, SHARD = 2, SEED = 20240702, STEPS = 100000, TAGS = 8 };

static struct session_shared shared;
static struct session_table table;
static struct effects effects;
static struct rig_client clients[CLIENTS];
static struct session *sessions[CLIENTS]; // NULL once it is released
static enum reason reasons[CLIENTS];      // of those that were
static uint32_t opened;
static unsigned sent_elsewhere, published_elsewhere;
static uint64_t elsewhere_session;

static bool on_frame(struct session *session, const struct frame *frame)
{
    (void)session;
    (void)frame;
    return true;
}

static void on_ending(struct session *session)
{
    (void)session;
}

static void on_closed(struct session *session)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        if (sessions[i] != session)
            continue;
        reasons[i] = session->reason;
        sessions[i] = NULL;
    }
    effects_forget(&effects, session);
    ledger_actor_fini(&session->actor);
    session_table_release(&table, session);
}

static void on_accepted(net_socket socket, const struct net_addr *peer)
{
    assert_true(opened < CLIENTS);
    sessions[opened] = session_table_take(&table);
    session_open(sessions[opened++], socket, peer);
}

static void elsewhere(void *owner, const struct envelope *effect)
{
    assert_ptr_equal(owner, &effects);
    sent_elsewhere += effect->kind == ENVELOPE_SEND;
    published_elsewhere += effect->kind == ENVELOPE_PUBLISH;
    elsewhere_session = effect->session;
}

static void turn(void)
{
    session_flush(&shared);
}

static int start(void **state)
{
    static const struct session_handler handler = {
        .frame = on_frame, .ending = on_ending, .closed = on_closed};

    (void)state;
    rig_start(&(struct rig_config){.seed = 1, .socket_bytes = 1024});
    rig_turn = turn;
    memset(clients, 0, sizeof(clients));
    memset(reasons, 0, sizeof(reasons));
    opened = 0;
    sent_elsewhere = published_elsewhere = 0;
    session_shared_init(&shared);
    shared.port = rig_port;
    shared.handler = &handler;
    shared.now_ms = rig_now_ms;
    shared.limits = (struct session_limits){.inbox_max_frames = 10,
                                            .inbox_max_bytes = 10000,
                                            .outbox_max_bytes = OUTBOX_MAX,
                                            .linger_timeout_ms = 1000};
    assert_int_equal(frame_codec_parse(&shared.codec, "line", 1000, NULL), 0);
    assert_int_equal(session_table_init(&table, &shared, SHARD, CLIENTS), 0);
    effects_init(&effects, &(struct effects_config){.sessions = &shared,
                                                    .table = &table,
                                                    .elsewhere = elsewhere,
                                                    .owner = &effects});
    rig_listen(on_accepted);
    for (size_t i = 0; i < CLIENTS; i++) {
        rig_connect(&clients[i]);
        rig_settle();
        assert_non_null(sessions[i]);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (size_t i = 0; i < CLIENTS; i++) {
        if (sessions[i] != NULL)
            session_abort(sessions[i], REASON_SHUTDOWN);
    }
    for (size_t i = 0; i < CLIENTS; i++)
        conn_resume(&clients[i].conn);
    rig_settle();
    for (size_t i = 0; i < CLIENTS; i++) {
        assert_null(sessions[i]);
        rig_client_free(&clients[i]);
    }
    effects_fini(&effects);
    session_table_fini(&table);
    rig_end();
    return 0;
}

static void apply(size_t client, const struct envelope *effect)
{
    effects_apply(&effects, sessions[client], effect);
}

static void join(size_t client, const char *group)
{
    apply(client, &(struct envelope){.kind = ENVELOPE_JOIN, .text = rig_text(group)});
}

static void publish(size_t client, const char *group, uint64_t except, const char *text)
{
    apply(client, &(struct envelope){.kind = ENVELOPE_PUBLISH,
                                     .text = rig_text(group),
                                     .session = except,
                                     .payload = rig_text(text)});
}

static void set(size_t client, uint64_t tag, uint32_t after_ms, uint32_t every_ms)
{
    apply(client,
          &(struct envelope){
              .kind = ENVELOPE_TIMER, .tag = tag, .after_ms = after_ms, .every_ms = every_ms});
}

static void cancel(size_t client, uint64_t tag)
{
    apply(client, &(struct envelope){.kind = ENVELOPE_CANCEL, .tag = tag});
}

static bool fire(size_t client, uint64_t tag)
{
    struct session *session;
    uint64_t got;

    if (!effects_fire(&effects, rig_clock_ms, &session, &got))
        return false;
    assert_ptr_equal(session, sessions[client]);
    assert_int_equal(got, tag);
    return true;
}

// The client's session ends for this reason, and it alone.
static void only_closed(size_t client, enum reason reason)
{
    rig_settle();
    for (size_t i = 0; i < CLIENTS; i++) {
        if ((sessions[i] == NULL) != (i == client))
            fail_msg("client %u: closed for '%s'", (unsigned)i, reason_text(reasons[i]));
    }
    assert_int_equal(reasons[client], reason);
}

static void effect_publish_reaches_members_but_one(void **state)
{
    (void)state;
    join(0, "room");
    join(1, "room");
    join(2, "roo");
    join(3, "room");
    apply(3, &(struct envelope){.kind = ENVELOPE_LEAVE, .text = rig_text("room")});
    apply(3, &(struct envelope){.kind = ENVELOPE_LEAVE, .text = rig_text("room")}); // harmless
    publish(4, "room", 0, "to all");
    publish(0, "room", sessions[0]->id, "not to me");
    publish(0, "nowhere", 0, "to nobody");
    assert_int_equal(published_elsewhere, 3);
    effects_arrive(&effects, &(struct envelope){.kind = ENVELOPE_PUBLISH,
                                                .text = rig_text("room"),
                                                .session = sessions[1]->id,
                                                .payload = rig_text("from afar")});
    assert_int_equal(published_elsewhere, 3); // it is not sent on
    rig_settle();
    assert_true(rig_received(&clients[0], "to all\r\nfrom afar\r\n"));
    assert_true(rig_received(&clients[1], "to all\r\nnot to me\r\n"));
    for (size_t i = 2; i < CLIENTS; i++)
        assert_true(rig_received(&clients[i], ""));
}

static void effect_send_goes_to_its_shard(void **state)
{
    struct envelope send = {.kind = ENVELOPE_SEND, .payload = rig_text("hi")};
    uint64_t gone = sessions[1]->id;

    (void)state;
    send.session = sessions[3]->id;
    apply(0, &send);
    session_abort(sessions[1], REASON_SHUTDOWN);
    rig_settle();
    send.session = gone;
    apply(0, &send);
    send.session = gone + (UINT64_C(1) << 24); // its slot's next generation
    apply(0, &send);
    send.session = UINT64_C(2) << 56 | 0xFFFFFF; // no such slot
    apply(0, &send);
    assert_int_equal(sent_elsewhere, 0);
    send.session = UINT64_C(200) << 56 | 5;
    apply(0, &send);
    assert_int_equal(sent_elsewhere, 1);
    assert_int_equal(elsewhere_session, send.session);
    send.session = sessions[3]->id;
    effects_arrive(&effects, &send);
    assert_int_equal(sent_elsewhere, 1);
    only_closed(1, REASON_SHUTDOWN);
    assert_true(rig_received(&clients[3], "hi\r\nhi\r\n"));
}

static void bad_frame_costs_the_sender(const struct envelope *effect)
{
    for (size_t i = 1; i < CLIENTS; i++)
        join(i, "room");
    apply(0, effect);
    only_closed(0, REASON_BAD_REPLY);
    assert_int_equal(sent_elsewhere + published_elsewhere, 0);
    for (size_t i = 1; i < CLIENTS; i++)
        assert_true(rig_received(&clients[i], ""));
}

static void effect_bad_publish_closes_its_sender_only(void **state)
{
    (void)state;
    bad_frame_costs_the_sender(&(struct envelope){
        .kind = ENVELOPE_PUBLISH, .text = rig_text("room"), .payload = rig_text("two\nlines")});
}

static void effect_bad_send_closes_its_sender_only(void **state)
{
    static uint8_t large[1001];

    (void)state;
    bad_frame_costs_the_sender(&(struct envelope){
        .kind = ENVELOPE_SEND, .session = sessions[1]->id, .payload = {large, sizeof(large)}});
}

static void effect_bad_send_to_another_shard_closes_its_sender_only(void **state)
{
    (void)state;
    bad_frame_costs_the_sender(&(struct envelope){
        .kind = ENVELOPE_SEND, .session = UINT64_C(1) << 56, .payload = rig_text("two\nlines")});
}

static void effect_slow_member_is_closed_and_others_hear_all(void **state)
{
    char text[900];
    size_t i;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (i = 0; i < CLIENTS; i++)
        join(i, "room");
    conn_pause(&clients[2].conn);
    for (i = 0; i < 40 && reasons[2] == REASON_NONE; i++) {
        publish(0, "room", 0, text);
        rig_settle();
    }
    assert_in_range(i, 4, 20);
    only_closed(2, REASON_SLOW_CLIENT);
    publish(0, "room", 0, "after");
    rig_settle();
    for (size_t k = 0; k < CLIENTS; k++) {
        if (k != 2)
            assert_int_equal(buffer_size(&clients[k].received), i * (sizeof(text) + 1) + 7);
    }
}

static void effect_groups_have_a_limit(void **state)
{
    char name[16];

    (void)state;
    for (unsigned i = 0; i < EFFECT_GROUPS_MAX; i++) {
        snprintf(name, sizeof(name), "g%u", i);
        join(0, name);
    }
    join(0, "g0"); // it is one already
    apply(0, &(struct envelope){.kind = ENVELOPE_LEAVE, .text = rig_text("g1")});
    apply(0, &(struct envelope){.kind = ENVELOPE_LEAVE, .text = rig_text("g1")});
    join(0, "more");
    rig_settle();
    assert_int_equal(sessions[0]->state, SESSION_OPEN);
    join(0, "too many");
    join(0, "and more");
    assert_int_equal(sessions[0]->membership_count, EFFECT_GROUPS_MAX);
    assert_null(groups_first(&effects.groups, rig_text("too many")));
    only_closed(0, REASON_ACTOR_LIMIT);
    assert_null(groups_first(&effects.groups, rig_text("g0")));
}

static void effect_timers_have_a_limit(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < EFFECT_TIMERS_MAX; i++)
        set(0, i, 10, 0);
    set(0, 5, 5, 0); // the same again
    cancel(0, 6);
    set(0, UINT64_MAX, 10, 10);
    assert_int_equal(sessions[0]->state, SESSION_OPEN);
    set(0, 6, 10, 0);
    only_closed(0, REASON_ACTOR_LIMIT);
    assert_int_equal(effects_next_ms(&effects), TIMER_NEVER);
}

// What has fired and waits for its turn counts, or a queue could grow without end.
static void effect_timers_under_way_count(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < EFFECT_TIMERS_MAX; i++) {
        set(0, i, 0, 0);
        assert_true(fire(0, i));
        cancel(0, i); // too late
    }
    set(0, 3, 0, 0); // anew: it waits for its first firing's turn
    assert_false(fire(0, 3));
    assert_int_equal(sessions[0]->state, SESSION_OPEN);
    effects_fired(&effects, sessions[0], 4);
    set(0, 1000, 0, 0);
    assert_int_equal(sessions[0]->state, SESSION_OPEN);
    set(0, 1001, 0, 0);
    only_closed(0, REASON_ACTOR_LIMIT);
}

static void effect_timer_fires_once(void **state)
{
    (void)state;
    set(1, 7, 100, 0);
    assert_int_equal(effects_next_ms(&effects), rig_clock_ms + 100);
    rig_clock_ms += 99;
    assert_false(fire(1, 7));
    rig_clock_ms += 1;
    assert_true(fire(1, 7));
    assert_false(fire(1, 7));
    effects_fired(&effects, sessions[1], 7);
    rig_clock_ms += 100000;
    assert_false(fire(1, 7));
    set(1, 7, 10, 0);
    cancel(1, 7);
    cancel(1, 7);
    rig_clock_ms += 10;
    assert_false(fire(1, 7));
}

static void effect_timer_of_the_longest_times_is_far(void **state)
{
    (void)state;
    set(0, 1, UINT32_MAX, UINT32_MAX);
    assert_int_equal(effects_next_ms(&effects), rig_clock_ms + UINT32_MAX);
    rig_clock_ms += UINT32_MAX;
    assert_true(fire(0, 1));
    effects_fired(&effects, sessions[0], 1);
    assert_int_equal(effects_next_ms(&effects), rig_clock_ms + UINT32_MAX);
}

static void effect_timer_that_repeats_keeps_its_beat(void **state)
{
    uint64_t first_ms = rig_clock_ms + 50;

    (void)state;
    set(0, 1, 50, 30);
    rig_clock_ms = first_ms + 5; // a little late
    assert_true(fire(0, 1));
    assert_int_equal(effects_next_ms(&effects), TIMER_NEVER); // until it is handled
    effects_fired(&effects, sessions[0], 1);
    assert_int_equal(effects_next_ms(&effects), first_ms + 30);
    rig_clock_ms = first_ms + 100; // three beats missed
    assert_true(fire(0, 1));
    effects_fired(&effects, sessions[0], 1);
    assert_int_equal(effects_next_ms(&effects), first_ms + 120);
    rig_clock_ms = first_ms + 120;
    assert_true(fire(0, 1));
    cancel(0, 1); // by its own turn
    effects_fired(&effects, sessions[0], 1);
    assert_int_equal(effects_next_ms(&effects), TIMER_NEVER);
    assert_int_equal(sessions[0]->timer_count, 0);
}

static void effect_end_of_a_session_ends_what_it_has(void **state)
{
    (void)state;
    set(0, 1, 10, 10);
    set(0, 2, 0, 0);
    assert_true(fire(0, 2));
    set(1, 1, 10, 0);
    join(0, "room");
    session_abort(sessions[0], REASON_SHUTDOWN);
    rig_settle();
    assert_null(groups_first(&effects.groups, rig_text("room")));
    rig_clock_ms += 10;
    assert_true(fire(1, 1));
    assert_false(fire(1, 1));
}

struct model_timer {
    bool set;
    bool under_way;
    uint64_t due_ms;
    uint64_t fired_due_ms;
    uint32_t every_ms;
};

static struct model_timer model[CLIENTS][TAGS];

static void model_handle(struct model_timer *timer)
{
    timer->under_way = false;
    if (timer->set || timer->every_ms == 0)
        return;
    timer->set = true;
    timer->due_ms = timer->fired_due_ms + timer->every_ms;
    while (timer->due_ms < rig_clock_ms)
        timer->due_ms += timer->every_ms;
}

static uint32_t fire_all(void)
{
    struct session *session;
    uint64_t tag;
    uint32_t fired = 0;

    while (effects_fire(&effects, rig_clock_ms, &session, &tag)) {
        struct model_timer *timer;
        size_t client = 0;

        while (sessions[client] != session)
            client++;
        timer = &model[client][tag];
        assert_true(timer->set && !timer->under_way && timer->due_ms <= rig_clock_ms);
        timer->set = false;
        timer->under_way = true;
        timer->fired_due_ms = timer->due_ms;
        fired++;
    }
    for (size_t i = 0; i < CLIENTS * TAGS; i++) {
        const struct model_timer *timer = &model[i / TAGS][i % TAGS];

        assert_false(timer->set && !timer->under_way && timer->due_ms <= rig_clock_ms);
    }
    return fired;
}

static void effect_timers_in_any_steps_fire_as_the_model_says(void **state)
{
    uint32_t fired = 0, anew = 0;

    (void)state;
    print_message("seed %u\n", (unsigned)SEED);
    memset(model, 0, sizeof(model));
    for (uint32_t step = 0; step < STEPS; step++) {
        size_t client = rig_random(CLIENTS);
        size_t tag = rig_random(TAGS);
        struct model_timer *timer = &model[client][tag];

        switch (rig_random(8)) {
        case 0:
        case 1:
            timer->due_ms = rig_clock_ms + rig_random(30);
            timer->every_ms = rig_random(2) ? 0 : 1 + (uint32_t)rig_random(20);
            anew += timer->under_way;
            timer->set = true;
            set(client, tag, (uint32_t)(timer->due_ms - rig_clock_ms), timer->every_ms);
            break;
        case 2:
            cancel(client, tag);
            timer->set = false;
            timer->every_ms = 0;
            break;
        case 3:
        case 4:
            rig_clock_ms += rig_random(5);
            fired += fire_all();
            break;
        default:
            if (!timer->under_way)
                break;
            effects_fired(&effects, sessions[client], tag);
            model_handle(timer);
            break;
        }
    }
    assert_true(fired > STEPS / 50 && anew > STEPS / 100);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)
    const struct CMUnitTest tests[] = {
        CASE(effect_publish_reaches_members_but_one),
        CASE(effect_send_goes_to_its_shard),
        CASE(effect_bad_publish_closes_its_sender_only),
        CASE(effect_bad_send_closes_its_sender_only),
        CASE(effect_bad_send_to_another_shard_closes_its_sender_only),
        CASE(effect_slow_member_is_closed_and_others_hear_all),
        CASE(effect_groups_have_a_limit),
        CASE(effect_timers_have_a_limit),
        CASE(effect_timers_under_way_count),
        CASE(effect_timer_fires_once),
        CASE(effect_timer_of_the_longest_times_is_far),
        CASE(effect_timer_that_repeats_keeps_its_beat),
        CASE(effect_end_of_a_session_ends_what_it_has),
        CASE(effect_timers_in_any_steps_fire_as_the_model_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
