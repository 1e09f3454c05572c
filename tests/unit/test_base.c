// Goal: lists keep their order, errors have texts, and text from outside is judged right.
// Method: random list operations against an array; every byte, every pair of bytes and every code
// point against the definition of UTF-8.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base.h"

enum { SEED = 20260131, NODES = 16, STEPS = 20000 };

struct item {
    int number;
    struct list node;
};

// Two lists and the order that they should have.
struct model {
    struct list heads[2];
    struct item items[NODES];
    int order[2][NODES];
    int count[2];
};

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void model_check(struct model *model)
{
    for (int side = 0; side < 2; side++) {
        struct list *node = &model->heads[side];

        assert_int_equal(list_empty(&model->heads[side]), model->count[side] == 0);
        for (int i = 0; i < model->count[side]; i++) {
            assert_ptr_equal(node->next->previous, node);
            node = node->next;
            assert_int_equal(container_of(node, struct item, node)->number, model->order[side][i]);
        }
        assert_ptr_equal(node->next, &model->heads[side]);
    }
}

static void model_take(struct model *model, int number)
{
    for (int side = 0; side < 2; side++) {
        int kept = 0;

        for (int i = 0; i < model->count[side]; i++) {
            if (model->order[side][i] != number)
                model->order[side][kept++] = model->order[side][i];
        }
        model->count[side] = kept;
    }
}

static void model_step(struct model *model, uint32_t *state)
{
    int number = (int)(random_next(state) % NODES);
    int side = (int)(random_next(state) % 2);
    struct list *popped;

    switch (random_next(state) % 4) {
    case 0: // twice: the second time it is in no list
        list_remove(&model->items[number].node);
        list_remove(&model->items[number].node);
        model_take(model, number);
        break;
    case 1:
        popped = list_pop(&model->heads[side]);
        if (model->count[side] == 0) {
            assert_null(popped);
        } else {
            number = model->order[side][0];
            assert_ptr_equal(popped, &model->items[number].node);
            model_take(model, number);
        }
        break;
    case 2:
        if (random_next(state) % 8 != 0)
            break;
        list_splice(&model->heads[side], &model->heads[1 - side]);
        memcpy(model->order[side] + model->count[side], model->order[1 - side],
               sizeof(int) * (size_t)model->count[1 - side]);
        model->count[side] += model->count[1 - side];
        model->count[1 - side] = 0;
        break;
    default:
        list_remove(&model->items[number].node);
        model_take(model, number);
        list_push(&model->heads[side], &model->items[number].node);
        model->order[side][model->count[side]++] = number;
        break;
    }
}

static void list_random_operations_match_an_array(void **unused)
{
    static struct model model;
    uint32_t state = SEED;

    (void)unused;
    print_message("seed %d\n", SEED);
    list_init(&model.heads[0]);
    list_init(&model.heads[1]);
    for (int i = 0; i < NODES; i++) {
        model.items[i].number = i;
        list_init(&model.items[i].node);
    }
    for (int i = 0; i < STEPS; i++) {
        model_step(&model, &state);
        model_check(&model);
    }
}

static void error_text_every_number_has_one(void **unused)
{
    (void)unused;
    for (int error = -20000; error < 20000; error++) {
        const char *text = error_text(error);

        assert_non_null(text);
        assert_true(text[0] != '\0' && text[strlen(text) - 1] != '.');
    }
    assert_string_equal(error_text(0), "success");
    assert_string_equal(error_text(-ECONNRESET), "connection reset by peer");
    assert_string_equal(error_text(-EADDRINUSE), "address already in use");
    assert_string_equal(error_text(-ENOSPC), "no space left on device");
    assert_string_equal(error_text(-EAGAIN), "resource temporarily unavailable");
    assert_string_equal(error_text(ECONNRESET), "unknown error");
    assert_string_equal(error_text(INT32_MIN), "unknown error");
    assert_string_equal(error_text(INT32_MAX), "unknown error");
}

static size_t encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

static bool hidden(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || (code >= 0x200B && code <= 0x200F) ||
           (code >= 0x2028 && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F) ||
           (code >= 0xD800 && code <= 0xDFFF) || code == 0xFEFF ||
           (code >= 0xFFF0 && code <= 0xFFFB) || code == 0xFFFE || code == 0xFFFF ||
           code > 0x10FFFF;
}

static void text_printable_every_code_point(void **unused)
{
    char text[5];

    (void)unused;
    for (uint32_t code = 0; code < 0x1FFFFF; code++) {
        size_t length = encode(code, text);
        size_t expected = hidden(code) ? 0 : length;

        text[length] = 'x';
        if (text_printable(text, length + 1) != expected)
            fail_msg("U+%04X", (unsigned)code);
        for (size_t cut = 0; cut < length; cut++)
            assert_int_equal(text_printable(text, cut), 0);
    }
}

static void text_printable_malformed_is_refused(void **unused)
{
    static const char *const wrong[] = {
        "\x80",         "\xBF",         "\xC0\x80",         "\xC1\xBF",         "\xC3x",
        "\xE0\x80\x80", "\xE0\x9F\xBF", "\xE3\x81x",        "\xED\xA0\x80",     "\xF0\x80\x80\x80",
        "\xF5\x80\x80", "\xF8\x88\x80", "\xF4\x90\x80\x80", "\xF0\x9F\x98\xFF", "\xFF",
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        if (text_printable(wrong[i], strlen(wrong[i])) != 0)
            fail_msg("text %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_random_operations_match_an_array),
        cmocka_unit_test(error_text_every_number_has_one),
        cmocka_unit_test(text_printable_every_code_point),
        cmocka_unit_test(text_printable_malformed_is_refused),
    };

    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
