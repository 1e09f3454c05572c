// Goal: an actor's state is what its callbacks left in it, in whichever worker it lives, and the
// gateway is told of it exactly when there is something new to tell.
// Method: plain states and states with memory of their own, there and back between two tables that
// stand for two workers; versions and sizes that do not fit; seeded random use against a model.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <troupe/actor.h>

#include "actors.h"

enum { SEEDS = 200, STEPS = 300, SESSIONS = 24, TEXT_MAX = 3000 };

static uint64_t random_state;
static uint64_t last_seed;

static uint32_t random_below(uint32_t limit) // limit 1 at least
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % limit;
}

// A plain state.
struct plain {
    uint64_t count;
    char name[8];
};

static const struct troupe_actor plain_type = {
    .name = "plain", .version = "1", .state_size = sizeof(struct plain), .state_version = 3};

// A state with memory of its own: a text. What it has allocated is counted.
struct text {
    char *bytes;
    size_t size;
};

static int texts_alive;
static int saves;
static int drops;

static size_t text_save(const void *state, void *out, size_t room)
{
    const struct text *text = state;

    saves++;
    if (text->size > 0 && text->size <= room)
        memcpy(out, text->bytes, text->size);
    else if (room > 0)
        memset(out, 0xEE, room); // does not count
    return text->size;
}

static int text_set(struct text *text, const void *bytes, size_t size)
{
    char *copy = size > 0 ? malloc(size) : NULL;

    if (size > 0 && copy == NULL)
        return 1;
    if (size > 0)
        memcpy(copy, bytes, size);
    texts_alive += (copy != NULL) - (text->bytes != NULL);
    free(text->bytes);
    *text = (struct text){copy, size};
    return 0;
}

static int text_load(void *state, const void *saved, size_t size)
{
    struct text *text = state;

    assert_null(text->bytes); // it is zeroed
    if (*(const char *)saved == '!')
        return 1;
    return text_set(text, saved, size);
}

static void text_drop(void *state)
{
    struct text *text = state;

    drops++;
    (void)text_set(text, NULL, 0);
}

static const struct troupe_actor text_type = {.name = "text",
                                              .version = "1",
                                              .state_size = sizeof(struct text),
                                              .state_version = 1,
                                              .save = text_save,
                                              .load = text_load,
                                              .drop = text_drop};

static struct bytes text_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

// The state goes to the gateway and back, into another worker.
static void move(struct actors *from, struct actor *actor, uint32_t version, struct actors *to)
{
    struct bytes state = {0};
    const char *why = NULL;
    struct buffer copy = {0};

    if (actors_changed(from, actor, &state) == 1)
        assert_int_equal(buffer_append(&copy, state.data, state.size), 0);
    assert_int_equal(actors_restore(to, actor->session, version,
                                    (struct bytes){buffer_data(&copy), buffer_size(&copy)}, &why),
                     0);
    buffer_free(&copy);
}

static void actors_new_state_is_zeroed_and_no_news(void **unused)
{
    static const struct plain zero;
    struct actors actors;
    struct bytes state;

    (void)unused;
    actors_init(&actors, &plain_type);
    for (uint64_t session = 0; session < 50; session++) {
        struct actor *actor = actors_add(&actors, session << 56 | session);

        assert_non_null(actor);
        assert_int_equal((uintptr_t)actor->state % _Alignof(max_align_t), 0);
        assert_memory_equal(actor->state, &zero, sizeof(zero));
        assert_int_equal(actors_changed(&actors, actor, &state), 0);
        assert_ptr_equal(actors_find(&actors, session << 56 | session), actor);
    }
    assert_null(actors_find(&actors, 50));
    actors_clear(&actors);
}

static void actors_change_is_told_once(void **unused)
{
    struct actors actors;
    struct actor *actor;
    struct plain *plain;
    struct bytes state;

    (void)unused;
    actors_init(&actors, &plain_type);
    actor = actors_add(&actors, 7);
    assert_non_null(actor);
    plain = actor->state;
    plain->name[7] = 'x'; // the last byte
    assert_int_equal(actors_changed(&actors, actor, &state), 1);
    assert_int_equal(state.size, sizeof(*plain));
    assert_memory_equal(state.data, plain, sizeof(*plain));
    assert_int_equal(actors_changed(&actors, actor, &state), 0);
    plain->name[7] = 0; // back to what it was
    assert_int_equal(actors_changed(&actors, actor, &state), 1);
    assert_int_equal(actors_changed(&actors, actor, &state), 0);
    plain->count = 1;
    plain->count = 0; // within one turn
    assert_int_equal(actors_changed(&actors, actor, &state), 0);
    actors_clear(&actors);
}

static void actors_plain_state_moves(void **unused)
{
    struct actors first, second;
    struct actor *actor;
    struct bytes state;

    (void)unused;
    actors_init(&first, &plain_type);
    actors_init(&second, &plain_type);
    actor = actors_add(&first, 7);
    *(struct plain *)actor->state = (struct plain){.count = 99, .name = "hello"};
    move(&first, actor, 3, &second);
    assert_memory_equal(actors_find(&second, 7)->state, actor->state, sizeof(struct plain));
    assert_int_equal(actors_changed(&second, actors_find(&second, 7), &state), 0);
    // Nothing was ever committed: it starts as it did.
    actor = actors_add(&first, 8);
    move(&first, actor, 0, &second);
    assert_int_equal(((struct plain *)actors_find(&second, 8)->state)->count, 0);
    assert_int_equal(actors_changed(&second, actors_find(&second, 8), &state), 0);
    actors_clear(&first);
    actors_clear(&second);
}

static void actors_without_state_have_none(void **unused)
{
    static const struct troupe_actor type = {.name = "none", .version = "1"};
    struct actors actors;
    struct actor *actor;
    struct bytes state;
    const char *why = NULL;

    (void)unused;
    actors_init(&actors, &type);
    actor = actors_add(&actors, 1);
    assert_non_null(actor);
    assert_null(actor->state);
    assert_int_equal(actors_changed(&actors, actor, &state), 0);
    assert_int_equal(actors_restore(&actors, 1, 0, (struct bytes){0}, &why), 0);
    assert_null(actors_find(&actors, 1)->state);
    assert_int_equal(actors_restore(&actors, 1, 0, text_of("x"), &why), -EINVAL);
    actors_clear(&actors);
}

static void actors_state_of_another_size_is_refused(void **unused)
{
    uint8_t bytes[sizeof(struct plain) + 1] = {0};
    struct actors actors;

    (void)unused;
    actors_init(&actors, &plain_type);
    for (size_t size = 1; size <= sizeof(bytes); size++) {
        const char *why = NULL;
        bool fits = size == sizeof(struct plain);

        assert_int_equal(actors_restore(&actors, 7, 3, (struct bytes){bytes, size}, &why),
                         fits ? 0 : -EINVAL);
        assert_true(fits == (actors_find(&actors, 7) != NULL));
        if (!fits)
            assert_non_null(strstr(why, "another size"));
    }
    actors_clear(&actors);
}

// Today's state counts in another unit than that of version 2.
static int plain_migrate(void *state, uint32_t version, const void *old, size_t old_size)
{
    struct plain *plain = state;
    uint64_t tens;

    assert_int_equal(plain->count, 0);
    if (version != 2 || (old_size != sizeof(tens) && old_size != sizeof(*plain)))
        return -1;
    memcpy(&tens, old, sizeof(tens));
    plain->count = tens * 10;
    return 0;
}

static void actors_state_of_another_version_is_migrated(void **unused)
{
    struct troupe_actor type = plain_type;
    uint64_t tens = 7;
    struct plain old = {.count = 7};
    struct actors actors;
    struct actor *actor;
    struct bytes state;
    const char *why = NULL;

    (void)unused;
    actors_init(&actors, &type);
    assert_int_equal(
        actors_restore(&actors, 1, 2, (struct bytes){(uint8_t *)&tens, sizeof(tens)}, &why),
        -EINVAL);
    assert_non_null(strstr(why, "no migrate"));
    type.migrate = plain_migrate;
    assert_int_equal(
        actors_restore(&actors, 1, 1, (struct bytes){(uint8_t *)&tens, sizeof(tens)}, &why),
        -EINVAL);
    assert_null(actors_find(&actors, 1));
    assert_int_equal(
        actors_restore(&actors, 1, 2, (struct bytes){(uint8_t *)&tens, sizeof(tens)}, &why), 0);
    actor = actors_find(&actors, 1);
    assert_int_equal(((struct plain *)actor->state)->count, 70);
    assert_int_equal(actors_changed(&actors, actor, &state), 1);
    assert_int_equal(state.size, sizeof(struct plain));
    assert_int_equal(actors_changed(&actors, actor, &state), 0);

    // The same bytes mean something else in another version, so they are news.
    assert_int_equal(
        actors_restore(&actors, 1, 2, (struct bytes){(uint8_t *)&old, sizeof(old)}, &why), 0);
    actor = actors_find(&actors, 1);
    ((struct plain *)actor->state)->count = 7;
    assert_int_equal(actors_changed(&actors, actor, &state), 1);
    assert_memory_equal(state.data, &old, sizeof(old));
    assert_int_equal(actors_changed(&actors, actor, &state), 0);

    // Nothing was committed, in whichever version: there is nothing to migrate.
    assert_int_equal(actors_restore(&actors, 1, 1, (struct bytes){0}, &why), 0);
    assert_int_equal(actors_changed(&actors, actors_find(&actors, 1), &state), 0);
    actors_clear(&actors);
}

static void actors_state_with_memory_moves_and_is_dropped(void **unused)
{
    struct actors first, second;
    struct actor *actor;
    struct bytes state;
    const char *why = NULL;

    (void)unused;
    drops = 0;
    actors_init(&first, &text_type);
    actors_init(&second, &text_type);
    actor = actors_add(&first, 7);
    assert_int_equal(actors_changed(&first, actor, &state), 0); // no bytes is how it begins
    assert_int_equal(text_set(actor->state, "hello", 5), 0);
    move(&first, actor, 1, &second);
    assert_int_equal(texts_alive, 2);
    assert_int_equal(actors_changed(&second, actors_find(&second, 7), &state), 0);
    actors_remove(&first, actor);
    assert_null(actors_find(&first, 7));
    assert_int_equal(drops, 1);
    assert_int_equal(texts_alive, 1);
    actor = actors_find(&second, 7);
    assert_memory_equal(((struct text *)actor->state)->bytes, "hello", 5);
    assert_int_equal(text_set(actor->state, NULL, 0), 0);
    assert_int_equal(actors_changed(&second, actor, &state), 1);
    assert_int_equal(state.size, 0);
    assert_int_equal(actors_changed(&second, actor, &state), 0);
    // What load refuses leaves no actor behind.
    assert_int_equal(actors_restore(&second, 7, 1, text_of("!"), &why), -EINVAL);
    assert_non_null(strstr(why, "load"));
    assert_null(actors_find(&second, 7));
    actors_clear(&first);
    actors_clear(&second);
    assert_int_equal(texts_alive, 0);
}

static void actors_large_saved_state_is_asked_for_again(void **unused)
{
    static char large[100000];
    struct actors actors;
    struct actor *actor;
    struct bytes state;

    (void)unused;
    memset(large, 'x', sizeof(large));
    actors_init(&actors, &text_type);
    actor = actors_add(&actors, 7);
    for (size_t size = 1; size <= sizeof(large); size = size * 2 + 1) {
        saves = 0;
        assert_int_equal(text_set(actor->state, large, size), 0);
        assert_int_equal(actors_changed(&actors, actor, &state), 1);
        assert_int_equal(state.size, size);
        assert_memory_equal(state.data, large, size);
        assert_in_range(saves, 1, 2);
    }
    actors_clear(&actors);
    assert_int_equal(texts_alive, 0);
}

static void actors_of_the_same_session_are_replaced(void **unused)
{
    struct actors actors;
    struct actor *actor;
    const char *why = NULL;

    (void)unused;
    actors_init(&actors, &text_type);
    drops = 0;
    assert_int_equal(text_set(actors_add(&actors, 7)->state, "one", 3), 0);
    actor = actors_add(&actors, 7);
    assert_int_equal(drops, 1);
    assert_null(((struct text *)actor->state)->bytes);
    assert_int_equal(actors_restore(&actors, 7, 1, text_of("two"), &why), 0);
    assert_int_equal(drops, 2);
    assert_int_equal(actors_restore(&actors, 7, 1, text_of("three"), &why), 0);
    assert_int_equal(texts_alive, 1);
    assert_int_equal(((struct text *)actors_find(&actors, 7)->state)->size, 5);
    actors_remove(&actors, actors_find(&actors, 7));
    assert_null(actors_find(&actors, 7));
    assert_int_equal(texts_alive, 0);
    actors_clear(&actors);
}

static void actors_clear_leaves_nothing_and_may_go_on(void **unused)
{
    struct actors actors;

    (void)unused;
    actors_init(&actors, &text_type);
    actors_clear(&actors); // of nothing
    for (int round = 0; round < 2; round++) {
        for (uint64_t session = 0; session < 1000; session++)
            assert_int_equal(text_set(actors_add(&actors, session)->state, "x", 1), 0);
        assert_int_equal(texts_alive, 1000);
        actors_clear(&actors);
        assert_int_equal(texts_alive, 0);
        for (uint64_t session = 0; session < 1000; session++)
            assert_null(actors_find(&actors, session));
    }
}

// What the gateway has of a session, and what its actor has now.
struct model {
    bool is_here;
    char committed[TEXT_MAX];
    size_t committed_size;
    char now[TEXT_MAX];
    size_t now_size;
};

static void model_turn(struct model *model, struct actors *actors, struct actor *actor)
{
    struct bytes state;
    int news;

    if (random_below(3) > 0) {
        model->now_size = random_below(4) == 0 ? random_below(TEXT_MAX) : random_below(3);
        memset(model->now, (char)('a' + random_below(2)), model->now_size);
        assert_int_equal(text_set(actor->state, model->now, model->now_size), 0);
    }
    if (random_below(4) == 0)
        return; // the worker is lost before it can commit
    news = model->now_size != model->committed_size ||
           memcmp(model->now, model->committed, model->now_size) != 0;
    assert_int_equal(actors_changed(actors, actor, &state), news);
    if (news) {
        assert_int_equal(state.size, model->now_size);
        memcpy(model->committed, model->now, model->now_size);
        model->committed_size = model->now_size;
    }
    assert_memory_equal(((struct text *)actor->state)->bytes, model->now, model->now_size);
}

static void model_restore(struct model *model, struct actors *actors, uint64_t session)
{
    struct bytes state = {(const uint8_t *)model->committed, model->committed_size};
    const char *why = NULL;

    assert_int_equal(actors_restore(actors, session, 1, state, &why), 0);
    memcpy(model->now, model->committed, model->committed_size);
    model->now_size = model->committed_size;
    model->is_here = true;
}

static void actors_random_use_follows_the_model(void **unused)
{
    static struct model models[SESSIONS];

    (void)unused;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct actors actors;

        random_state = seed;
        last_seed = seed;
        memset(models, 0, sizeof(models));
        actors_init(&actors, &text_type);
        for (int step = 0; step < STEPS; step++) {
            uint64_t session = random_below(SESSIONS);
            struct model *model = &models[session];
            struct actor *actor = actors_find(&actors, session << 32);

            if ((actor != NULL) != model->is_here)
                fail_msg("seed %u step %d", (unsigned)seed, step);
            if (actor == NULL || random_below(8) == 0) {
                model_restore(model, &actors, session << 32);
            } else if (random_below(16) == 0) {
                actors_remove(&actors, actor);
                model->is_here = false;
            } else if (random_below(64) == 0) {
                actors_clear(&actors);
                for (int i = 0; i < SESSIONS; i++)
                    models[i].is_here = false;
            } else {
                model_turn(model, &actors, actor);
            }
        }
        actors_clear(&actors);
        assert_int_equal(texts_alive, 0);
    }
}

static int print_seed(void **unused)
{
    (void)unused;
    print_message("seed %u\n", (unsigned)last_seed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actors_new_state_is_zeroed_and_no_news),
        cmocka_unit_test(actors_change_is_told_once),
        cmocka_unit_test(actors_plain_state_moves),
        cmocka_unit_test(actors_without_state_have_none),
        cmocka_unit_test(actors_state_of_another_size_is_refused),
        cmocka_unit_test(actors_state_of_another_version_is_migrated),
        cmocka_unit_test(actors_state_with_memory_moves_and_is_dropped),
        cmocka_unit_test(actors_large_saved_state_is_asked_for_again),
        cmocka_unit_test(actors_of_the_same_session_are_replaced),
        cmocka_unit_test(actors_clear_leaves_nothing_and_may_go_on),
        cmocka_unit_test_teardown(actors_random_use_follows_the_model, print_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
