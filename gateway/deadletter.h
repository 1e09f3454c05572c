// deadletter.h - inputs that ended one worker after another, kept in a file for people to look at.
// Floor 2. The format is pure; the file is written through os.h.
//
// A record is a line of text:
//
//   1 2026-01-31T12:00:00.123Z session=4294967301 sequence=7 kind=frame size=4 app="echo 1" ...
//
// and then peer="...", why="...", payload=01006869. In the texts '"' and '\' have a '\' before
// them. Records are only ever added. A file that is full refuses new ones: the first of a kind are
// worth more than the last, and nobody's record goes away unseen. Who has seen them moves the file
// away, at any time.
#ifndef TROUPE_DEADLETTER_H
#define TROUPE_DEADLETTER_H

#include "base.h"
#include "buffer.h"

enum {
    DEADLETTER_TEXT_MAX = 255,        // bytes of a text; a longer one is cut
    DEADLETTER_LINE_MAX = 256 * 1024, // bytes of a record; of a longer payload the front is kept
    DEADLETTER_FILE_MAX = 64 * 1024 * 1024, // most that a file's limit may be
};

struct deadletter {
    struct bytes time; // as log_time_text() has it: 24 bytes
    uint64_t session;
    uint64_t sequence; // of the input: the actor's turn number
    struct bytes kind; // lower-case letters, 1 to 15
    uint64_t size;     // of the payload as it came
    struct bytes app;  // texts: what is not printable becomes "?"
    struct bytes peer;
    struct bytes why;     // how the last of the workers ended
    struct bytes prefix;  // when encoding: before payload; decoded: empty
    struct bytes payload; // decoded: what was kept of it
};

// Appends a record of at most line_max bytes; of the payload it holds as much as has room. 0,
// -EINVAL (time, kind or size is wrong), -EMSGSIZE (no room even without payload), -ENOMEM; on
// failure the buffer is as before.
int deadletter_encode(struct buffer *to, const struct deadletter *letter, size_t line_max);

enum deadletter_result { DEADLETTER_READY, DEADLETTER_DAMAGED, DEADLETTER_END };

// Walks a file's bytes, which it changes: slices of what is decoded point into them.
struct deadletter_reader {
    uint8_t *at;
    size_t left;
    uint32_t line;   // of what was read last, 1 for the first
    const char *why; // after DEADLETTER_DAMAGED: a static text
};

void deadletter_reader_init(struct deadletter_reader *reader, uint8_t *data, size_t size);

// After a damaged line it goes on with the next.
enum deadletter_result deadletter_next(struct deadletter_reader *reader,
                                       struct deadletter *out_letter);

// "<runtime_dir>/<node>.deadletters". 0 or -ENAMETOOLONG.
int deadletter_path(char *out, size_t room, const char *runtime_dir, const char *node);

// One thread's way to the file; several threads and processes may have one each.
struct deadletter_box {
    const char *path;
    uint64_t file_max; // bytes; 0 = nothing is kept
    uint64_t kept;
    uint64_t missed; // could not be kept
    bool is_failing; // said so in the log; until one is kept again
};

// True: it is in the file. What goes wrong is counted, and logged once in a row.
bool deadletter_keep(struct deadletter_box *box, const struct deadletter *letter);

#endif
