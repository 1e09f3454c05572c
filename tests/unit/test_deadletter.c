// Goal: what is kept reads back to the same, no line of a file can harm or be taken for what it is
// not, and the file keeps its limit.
// Method: records by hand and at random, every single damage of a good line, the file itself.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deadletter.h"
#include "log.h"
#include "os.h"

#define FILE_NAME "scratch/test_deadletter.txt"
#define LOG_NAME  "scratch/test_deadletter.log"
#define SLICE(text)                                                                                \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define GOOD                                                                                       \
    "1 2026-01-31T12:00:00.123Z session=4294967301 sequence=7 kind=frame size=4 app=\"echo 1\" "   \
    "peer=\"127.0.0.1:5\" why=\"a \\\"b\\\" \\\\c\" payload=0100ff69\n"

enum { SEEDS = 3000, LINE_ROOM = 4096, READ_MAX = 1024 * 1024 };

static const struct deadletter good = {
    .time = SLICE("2026-01-31T12:00:00.123Z"),
    .session = 4294967301,
    .sequence = 7,
    .kind = SLICE("frame"),
    .size = 4,
    .app = SLICE("echo 1"),
    .peer = SLICE("127.0.0.1:5"),
    .why = SLICE("a \"b\" \\c"),
    .payload = SLICE("\x01\x00\xFFi"),
};

static uint64_t random_state;

static uint32_t random_below(uint32_t limit) // limit 1 at least
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % limit;
}

static bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool letters_equal(const struct deadletter *a, const struct deadletter *b)
{
    return bytes_equal(a->time, b->time) && a->session == b->session &&
           a->sequence == b->sequence && bytes_equal(a->kind, b->kind) && a->size == b->size &&
           bytes_equal(a->app, b->app) && bytes_equal(a->peer, b->peer) &&
           bytes_equal(a->why, b->why) && bytes_equal(a->prefix, b->prefix) &&
           bytes_equal(a->payload, b->payload);
}

// A copy of just this size, so that sanitizers see every byte past it.
static uint8_t *copy_of(const void *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    assert_non_null(copy);
    memcpy(copy, data, size);
    return copy;
}

static void expect_lines(const char *text, const char *results)
{
    struct deadletter_reader reader;
    struct deadletter letter;
    uint8_t *copy = copy_of(text, strlen(text));
    uint32_t line = 0;

    deadletter_reader_init(&reader, copy, strlen(text));
    for (; *results != '\0'; results++) {
        enum deadletter_result result = deadletter_next(&reader, &letter);

        if (result != (*results == 'g' ? DEADLETTER_READY : DEADLETTER_DAMAGED))
            fail_msg("line %u of: %s", (unsigned)reader.line, text);
        assert_int_equal(reader.line, ++line);
        assert_true((result == DEADLETTER_DAMAGED) == (reader.why != NULL));
        if (result == DEADLETTER_READY)
            assert_true(letters_equal(&letter, &good));
    }
    assert_int_equal(deadletter_next(&reader, &letter), DEADLETTER_END);
    assert_int_equal(deadletter_next(&reader, &letter), DEADLETTER_END);
    free(copy);
}

static void deadletter_record_is_one_line_of_text(void **unused)
{
    struct buffer line = {0};

    (void)unused;
    assert_int_equal(deadletter_encode(&line, &good, LINE_ROOM), 0);
    assert_int_equal(buffer_size(&line), sizeof(GOOD) - 1);
    assert_memory_equal(buffer_data(&line), GOOD, sizeof(GOOD) - 1);
    buffer_free(&line);
    expect_lines(GOOD, "g");
    expect_lines("", "");
}

static void deadletter_damaged_lines_are_skipped(void **unused)
{
    static const struct {
        const char *lines;
        const char *results;
    } rows[] = {
        {GOOD "hello\n" GOOD, "gdg"},
        {"\n" GOOD, "dg"},
        {GOOD GOOD "1 2026", "ggd"},
        {"1 2026-01-31T12:00:00.123" GOOD GOOD, "dg"}, // glued to one that was cut short
    };
    static const char *const damaged[][2] = {
        {"1 2026", "2 2026"},
        {"2026-01", "2026/01"},
        {".123Z", ".12Z"},
        {"session=4", "session=04"},
        {"session=4294967301", "session=-1"},
        {"session=4294967301", "session="},
        {"session=4294967301", "session=18446744073709551616"},
        {"session=4294967301", "session=184467440737095516150"},
        {"sequence=7", "sequence=x"},
        {"sequence=7", "Sequence=7"},
        {"kind=frame", "kind="},
        {"kind=frame", "kind=Frame"},
        {"kind=frame", "kind=abcdefghijklmnop"},
        {" kind=frame", ""},
        {"size=4", "size=3"},
        {"size=4", "siz=4"},
        {"app=\"echo 1\"", "app=echo"},
        {"app=\"echo 1\"", "app=\"echo\t1\""},
        {"app=\"echo 1\"", "app=\"echo\\n1\""},
        {"app=\"echo 1\"", "app=\"\xFF\""},
        {"peer=\"127.0.0.1:5\" ", "peer=\"127.0.0.1:5 "},
        {"\\\\c\"", "\\\\c\\\""},
        {"why=", "who="},
        {"payload=01", "payload=0"},
        {"payload=01", "payload=0g"},
        {"payload=01", "payload=A1"},
        {"payload=01", " payload=01"},
        {"ff69\n", "ff69 \n"},
        {"ff69\n", "ff69\r\n"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        expect_lines(rows[i].lines, rows[i].results);
    for (size_t i = 0; i < ARRAY_COUNT(damaged); i++) {
        static const char line[] = GOOD;
        const char *at = strstr(line, damaged[i][0]);
        char text[1024];

        assert_non_null(at);
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - line), line, damaged[i][1],
                 at + strlen(damaged[i][0]));
        expect_lines(text, "d");
    }
}

static void deadletter_text_that_is_too_long_is_damaged(void **unused)
{
    for (int size = DEADLETTER_TEXT_MAX; size <= DEADLETTER_TEXT_MAX + 1; size++) {
        struct deadletter_reader reader;
        struct deadletter letter;
        char line[1024];

        (void)unused;
        snprintf(line, sizeof(line),
                 "1 2026-01-31T12:00:00.123Z session=1 sequence=1 kind=open size=0 app=\"%0*d\" "
                 "peer=\"\" why=\"\" payload=\n",
                 size, 0);
        deadletter_reader_init(&reader, (uint8_t *)line, strlen(line));
        assert_int_equal(deadletter_next(&reader, &letter),
                         size == DEADLETTER_TEXT_MAX ? DEADLETTER_READY : DEADLETTER_DAMAGED);
    }
}

static void deadletter_line_cut_anywhere_is_damaged(void **unused)
{
    (void)unused;
    for (size_t size = 1; size < sizeof(GOOD) - 1; size++) {
        char text[sizeof(GOOD)];

        memcpy(text, GOOD, size);
        text[size] = '\0';
        expect_lines(text, "d");
    }
}

static void deadletter_fields_that_are_wrong_are_not_written(void **unused)
{
    struct deadletter letter = good;
    struct buffer line = {0};

    (void)unused;
    letter.time.size--;
    assert_int_equal(deadletter_encode(&line, &letter, LINE_ROOM), -EINVAL);
    letter.time = (struct bytes)SLICE("2026-01-31 12:00:00.123Z");
    assert_int_equal(deadletter_encode(&line, &letter, LINE_ROOM), -EINVAL);
    letter = good;
    letter.kind = (struct bytes)SLICE("a b");
    assert_int_equal(deadletter_encode(&line, &letter, LINE_ROOM), -EINVAL);
    letter.kind.size = 0;
    assert_int_equal(deadletter_encode(&line, &letter, LINE_ROOM), -EINVAL);
    letter = good;
    letter.size = 3;
    assert_int_equal(deadletter_encode(&line, &letter, LINE_ROOM), -EINVAL);
    letter.size = 4;
    letter.prefix = (struct bytes)SLICE("x");
    assert_int_equal(deadletter_encode(&line, &letter, LINE_ROOM), -EINVAL);
    assert_int_equal(buffer_size(&line), 0);
    buffer_free(&line);
}

static void deadletter_long_payload_is_cut_to_the_room(void **unused)
{
    static uint8_t payload[1000];
    struct deadletter letter = good;
    size_t head = sizeof(GOOD) - 1 - 8 + 3; // without payload; "1003" for "4"
    struct buffer line = {0};

    (void)unused;
    letter.prefix = (struct bytes)SLICE("abc");
    letter.payload = (struct bytes){payload, sizeof(payload)};
    letter.size = 1003;
    for (size_t room = 0; room < 3000; room++) {
        struct deadletter_reader reader;
        struct deadletter got;
        int rc = deadletter_encode(&line, &letter, room);
        size_t kept = room < head ? 0 : (room - head) / 2;

        assert_int_equal(rc, room < head ? -EMSGSIZE : 0);
        assert_true(buffer_size(&line) <= room);
        if (rc == 0) {
            deadletter_reader_init(&reader, line.memory, buffer_size(&line));
            assert_int_equal(deadletter_next(&reader, &got), DEADLETTER_READY);
            assert_int_equal(got.payload.size, kept < 1003 ? kept : 1003);
            assert_memory_equal(got.payload.data, "abc", kept < 3 ? kept : 3);
            assert_int_equal(got.size, 1003);
        }
        buffer_truncate(&line, 0);
    }
    buffer_free(&line);
}

static void deadletter_texts_are_made_printable_and_cut(void **unused)
{
    struct deadletter letter = good;
    struct deadletter_reader reader;
    struct deadletter got;
    struct buffer line = {0};
    uint8_t text[600];

    (void)unused;
    letter.app = (struct bytes)SLICE("a\nb\x1B\xFFgr\xC3\xBC\xC3\x9F\xE2\x80\xAE.");
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < 254; i++)
        text[i] = '"';
    memcpy(text + 254, "\xC3\xBC", 2); // would be bytes 255 and 256
    letter.why = (struct bytes){text, sizeof(text)};
    letter.peer.size = 0;
    assert_int_equal(deadletter_encode(&line, &letter, LINE_ROOM), 0);
    deadletter_reader_init(&reader, line.memory, buffer_size(&line));
    assert_int_equal(deadletter_next(&reader, &got), DEADLETTER_READY);
    assert_true(bytes_equal(got.app, (struct bytes)SLICE("a?b??gr\xC3\xBC\xC3\x9F???.")));
    assert_true(bytes_equal(got.why, (struct bytes){text, 254}));
    assert_int_equal(got.peer.size, 0);
    buffer_free(&line);
}

static struct bytes random_bytes(uint8_t *room, uint32_t max, bool printable)
{
    struct bytes bytes = {room, random_below(max + 1)};

    for (size_t i = 0; i < bytes.size; i++)
        room[i] = (uint8_t)(printable ? ' ' + random_below(95) : random_below(256));
    return bytes;
}

static void deadletter_random_ones_come_back_the_same(void **unused)
{
    static const char *const kinds[] = {"open", "frame", "close"};

    (void)unused;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct deadletter letters[4];
        uint8_t rooms[4][4][256];
        char times[4][LOG_TIME_MAX];
        struct buffer lines = {0};
        struct deadletter_reader reader;
        struct deadletter got;
        uint8_t *copy;

        random_state = seed;
        for (int i = 0; i < 4; i++) {
            const char *kind = kinds[random_below(3)];
            uint64_t ms = (uint64_t)random_below(1U << 30) << random_below(14);

            log_time_text(ms, times[i]);
            letters[i] = (struct deadletter){
                .time = {(const uint8_t *)times[i], strlen(times[i])},
                .session = (uint64_t)random_below(1U << 31) << random_below(34),
                .sequence = (uint64_t)random_below(1U << 31) << random_below(34),
                .kind = {(const uint8_t *)kind, strlen(kind)},
                .app = random_bytes(rooms[i][0], DEADLETTER_TEXT_MAX, true),
                .peer = random_bytes(rooms[i][1], DEADLETTER_TEXT_MAX, true),
                .why = random_bytes(rooms[i][2], DEADLETTER_TEXT_MAX, true),
                .payload = random_bytes(rooms[i][3], 256, false),
            };
            letters[i].size = letters[i].payload.size + random_below(2) * random_below(99);
            assert_int_equal(deadletter_encode(&lines, &letters[i], LINE_ROOM), 0);
        }
        copy = copy_of(buffer_data(&lines), buffer_size(&lines));
        deadletter_reader_init(&reader, copy, buffer_size(&lines));
        for (int i = 0; i < 4; i++) {
            if (deadletter_next(&reader, &got) != DEADLETTER_READY ||
                !letters_equal(&got, &letters[i]))
                fail_msg("seed %u: record %d is another", (unsigned)seed, i);
        }
        assert_int_equal(deadletter_next(&reader, &got), DEADLETTER_END);
        free(copy);
        buffer_free(&lines);
    }
}

// Whatever is let through is sound: it says the same line again.
static void deadletter_damaged_files_do_no_harm(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        static const char interesting[] = "\n \"\\=0f1\xC3";
        struct deadletter_reader reader;
        struct deadletter letter;
        struct buffer again = {0};
        uint8_t *copy = copy_of(GOOD GOOD, sizeof(GOOD GOOD) - 1);
        uint8_t *line = copy;
        char before[2 * sizeof(GOOD)];
        enum deadletter_result result;

        random_state = seed;
        for (uint32_t damage = 1 + random_below(4); damage > 0; damage--)
            copy[random_below(sizeof(GOOD GOOD) - 1)] =
                random_below(2) ? (uint8_t)random_below(256)
                                : (uint8_t)interesting[random_below(sizeof(interesting) - 1)];
        memcpy(before, copy, sizeof(GOOD GOOD) - 1);
        deadletter_reader_init(&reader, copy, sizeof(GOOD GOOD) - 1);
        while ((result = deadletter_next(&reader, &letter)) != DEADLETTER_END) {
            buffer_truncate(&again, 0);
            if (result == DEADLETTER_READY &&
                (deadletter_encode(&again, &letter, LINE_ROOM) != 0 ||
                 buffer_size(&again) != (size_t)(reader.at - line) ||
                 memcmp(buffer_data(&again), before + (line - copy), buffer_size(&again)) != 0))
                fail_msg("seed %u: line %u says something else again", (unsigned)seed,
                         (unsigned)reader.line);
            line = reader.at;
        }
        free(copy);
        buffer_free(&again);
    }
}

static void deadletter_path_is_the_nodes(void **unused)
{
    char path[32];

    (void)unused;
    assert_int_equal(deadletter_path(path, sizeof(path), "/run/x", "local"), 0);
    assert_string_equal(path, "/run/x/local.deadletters");
    assert_int_equal(deadletter_path(path, 25, "/run/x", "local"), 0);
    assert_int_equal(deadletter_path(path, 24, "/run/x", "local"), -ENAMETOOLONG);
}

// The lines that were logged since the last time.
static uint32_t log_lines(void)
{
    static size_t seen;
    uint8_t *data = NULL;
    size_t size = 0;
    uint32_t lines = 0;

    assert_int_equal(os_file_read(LOG_NAME, READ_MAX, &data, &size), 0);
    for (; seen < size; seen++)
        lines += data[seen] == '\n';
    free(data);
    return lines;
}

static void deadletter_box_keeps_until_it_is_full(void **unused)
{
    struct deadletter_box box = {.path = FILE_NAME, .file_max = 2 * (sizeof(GOOD) - 1) + 10};
    uint8_t *data = NULL;
    size_t size = 0;

    (void)unused;
    remove(FILE_NAME);
    (void)log_lines();
    assert_true(deadletter_keep(&box, &good));
    assert_true(deadletter_keep(&box, &good));
    assert_int_equal(log_lines(), 0);
    for (int i = 0; i < 10; i++)
        assert_false(deadletter_keep(&box, &good));
    assert_int_equal(log_lines(), 1);
    assert_int_equal(box.kept, 2);
    assert_int_equal(box.missed, 10);
    assert_int_equal(os_file_read(FILE_NAME, READ_MAX, &data, &size), 0);
    assert_int_equal(size, 2 * (sizeof(GOOD) - 1));
    assert_memory_equal(data, GOOD GOOD, size);
    free(data);
    // Somebody has looked at them.
    assert_int_equal(remove(FILE_NAME), 0);
    assert_true(deadletter_keep(&box, &good));
    assert_true(deadletter_keep(&box, &good));
    assert_int_equal(log_lines(), 1);
    assert_false(deadletter_keep(&box, &good));
    assert_int_equal(log_lines(), 1);
}

static void deadletter_box_that_cannot_write_says_so_once(void **unused)
{
    struct deadletter_box box = {.path = "scratch/none/file", .file_max = 10000};
    struct deadletter_box tiny = {.path = FILE_NAME, .file_max = 20};
    struct deadletter_box off = {.path = FILE_NAME};

    (void)unused;
    remove(FILE_NAME);
    (void)log_lines();
    for (int i = 0; i < 10; i++)
        assert_false(deadletter_keep(&box, &good));
    assert_int_equal(log_lines(), 1);
    assert_int_equal(box.missed, 10);
    assert_false(deadletter_keep(&tiny, &good));
    assert_int_equal(log_lines(), 1);
    assert_false(deadletter_keep(&off, &good));
    assert_int_equal(log_lines(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadletter_record_is_one_line_of_text),
        cmocka_unit_test(deadletter_damaged_lines_are_skipped),
        cmocka_unit_test(deadletter_text_that_is_too_long_is_damaged),
        cmocka_unit_test(deadletter_line_cut_anywhere_is_damaged),
        cmocka_unit_test(deadletter_fields_that_are_wrong_are_not_written),
        cmocka_unit_test(deadletter_long_payload_is_cut_to_the_room),
        cmocka_unit_test(deadletter_texts_are_made_printable_and_cut),
        cmocka_unit_test(deadletter_random_ones_come_back_the_same),
        cmocka_unit_test(deadletter_damaged_files_do_no_harm),
        cmocka_unit_test(deadletter_path_is_the_nodes),
        cmocka_unit_test(deadletter_box_keeps_until_it_is_full),
        cmocka_unit_test(deadletter_box_that_cannot_write_says_so_once),
    };

    os_init();
    if (os_make_private_folder("scratch") != 0)
        return 1;
    remove(LOG_NAME);
    if (log_init(&(struct log_config){.program = "test", .level = LOG_INFO, .file = LOG_NAME}) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
