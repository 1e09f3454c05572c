// Goal: a buffer gives back exactly the bytes it was given, in bounded time and memory.
// Method: seeded random operations against a plain array; growth and its limits by hand.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "buffer.h"

enum { SEED = 19700101, STEPS = 50000, STORED_MAX = 6000, PIECE_MAX = 700 };

struct model {
    uint8_t bytes[STORED_MAX];
    size_t size;
};

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void compare(const struct buffer *buffer, const struct model *model)
{
    assert_int_equal(buffer_size(buffer), model->size);
    if (model->size > 0)
        assert_memory_equal(buffer_data(buffer), model->bytes, model->size);
    assert_true(buffer->head <= buffer->tail && buffer->tail <= buffer->capacity);
    assert_true(buffer->capacity <= 4 * (STORED_MAX + PIECE_MAX));
}

static void add(struct buffer *buffer, struct model *model, uint32_t *state)
{
    size_t size = random_next(state) % PIECE_MAX;
    uint8_t piece[PIECE_MAX];
    uint8_t *to;

    if (size > STORED_MAX - model->size)
        size = STORED_MAX - model->size;
    for (size_t i = 0; i < size; i++)
        piece[i] = (uint8_t)random_next(state);
    if (random_next(state) % 2 == 0) {
        assert_int_equal(buffer_append(buffer, piece, size), 0);
    } else {
        to = buffer_reserve(buffer, size + random_next(state) % 50); // may be more than is used
        assert_non_null(to);
        memcpy(to, piece, size);
        buffer_commit(buffer, size);
    }
    memcpy(model->bytes + model->size, piece, size);
    model->size += size;
}

static void step(struct buffer *buffer, struct model *model, uint32_t *state)
{
    size_t size = model->size > 0 ? random_next(state) % (model->size + 1) : 0;

    switch (random_next(state) % 8) {
    case 0:
    case 1:
    case 2:
        buffer_consume(buffer, size);
        model->size -= size;
        memmove(model->bytes, model->bytes + size, model->size);
        break;
    case 3:
        buffer_truncate(buffer, size);
        model->size = size;
        break;
    case 4:
        buffer_trim(buffer, random_next(state) % 2000);
        break;
    default:
        add(buffer, model, state);
        break;
    }
}

static void buffer_random_operations_match_an_array(void **unused)
{
    static struct model model;
    struct buffer buffer = {0};
    uint32_t state = SEED;

    (void)unused;
    print_message("seed %d\n", SEED);
    for (int i = 0; i < STEPS; i++) {
        step(&buffer, &model, &state);
        compare(&buffer, &model);
    }
    buffer_free(&buffer);
    assert_null(buffer.memory);
    assert_int_equal(buffer.capacity, 0);
}

static void buffer_empty_is_harmless(void **unused)
{
    struct buffer buffer = {0};

    (void)unused;
    assert_int_equal(buffer_size(&buffer), 0);
    assert_null(buffer_data(&buffer));
    assert_int_equal(buffer_append(&buffer, NULL, 0), 0);
    buffer_consume(&buffer, 0);
    buffer_truncate(&buffer, 0);
    buffer_trim(&buffer, 0);
    buffer_commit(&buffer, 0);
    assert_null(buffer.memory);
    assert_non_null(buffer_reserve(&buffer, 0)); // NULL would mean that memory has run out
    buffer_free(&buffer);
    buffer_free(&buffer);
}

static void buffer_impossible_size_changes_nothing(void **unused)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 3, (size_t)PTRDIFF_MAX + 1,
                                   (size_t)PTRDIFF_MAX - 2};
    struct buffer buffer = {0};
    struct buffer before;

    (void)unused;
    assert_int_equal(buffer_append(&buffer, "abcde", 5), 0);
    buffer_consume(&buffer, 2);
    before = buffer;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        assert_null(buffer_reserve(&buffer, sizes[i]));
        assert_int_equal(buffer_append(&buffer, "x", sizes[i]), -ENOMEM);
        assert_memory_equal(&buffer, &before, sizeof(buffer));
        assert_memory_equal(buffer_data(&buffer), "cde", 3);
    }
    buffer_free(&buffer);
}

// A byte in, a byte out: memory stays, and few bytes are moved.
static void buffer_queue_in_balance_does_not_grow(void **unused)
{
    struct buffer buffer = {0};
    uint8_t expected = 0;
    size_t capacity;

    (void)unused;
    for (int i = 0; i < 200; i++)
        assert_int_equal(buffer_append(&buffer, &(uint8_t){(uint8_t)i}, 1), 0);
    for (int i = 200; i < 1000; i++) {
        assert_int_equal(buffer_append(&buffer, &(uint8_t){(uint8_t)i}, 1), 0);
        buffer_consume(&buffer, 1);
    }
    capacity = buffer.capacity;
    for (int i = 1000; i < 100000; i++) {
        assert_int_equal(buffer_append(&buffer, &(uint8_t){(uint8_t)i}, 1), 0);
        expected = (uint8_t)(i - 200);
        assert_int_equal(*buffer_data(&buffer), expected);
        buffer_consume(&buffer, 1);
    }
    assert_int_equal(buffer.capacity, capacity);
    buffer_free(&buffer);
}

static void buffer_room_at_the_front_is_used(void **unused)
{
    struct buffer buffer = {0};
    size_t capacity;

    (void)unused;
    assert_non_null(buffer_reserve(&buffer, 1000));
    buffer_commit(&buffer, 1000);
    capacity = buffer.capacity;
    buffer_consume(&buffer, 900);
    assert_non_null(buffer_reserve(&buffer, 900));
    assert_int_equal(buffer.capacity, capacity);
    assert_int_equal(buffer.head, 0);
    buffer_free(&buffer);
}

static void buffer_trim_keeps_what_is_small_or_stored(void **unused)
{
    struct buffer buffer = {0};
    uint8_t *memory = buffer_reserve(&buffer, 5000);

    (void)unused;
    buffer_commit(&buffer, 1);
    buffer_trim(&buffer, 0);
    assert_ptr_equal(buffer.memory, memory);
    buffer_consume(&buffer, 1);
    buffer_trim(&buffer, buffer.capacity);
    assert_ptr_equal(buffer.memory, memory);
    buffer_trim(&buffer, buffer.capacity - 1);
    assert_null(buffer.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_random_operations_match_an_array),
        cmocka_unit_test(buffer_empty_is_harmless),
        cmocka_unit_test(buffer_impossible_size_changes_nothing),
        cmocka_unit_test(buffer_queue_in_balance_does_not_grow),
        cmocka_unit_test(buffer_room_at_the_front_is_used),
        cmocka_unit_test(buffer_trim_keeps_what_is_small_or_stored),
    };

    return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
