// Goal: no file of dead letters can harm whoever reads it, and what is understood is said again to
// the byte.
// Method: libFuzzer's bytes are the file.
#include <stdlib.h>
#include <string.h>

#include "deadletter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    struct deadletter_reader reader;
    struct deadletter letter;
    struct buffer again = {0};
    enum deadletter_result result;
    size_t before = 0;
    size_t lines = 0;

    CHECK(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    deadletter_reader_init(&reader, copy, size);
    while ((result = deadletter_next(&reader, &letter)) != DEADLETTER_END) {
        size_t after = (size_t)(reader.at - copy);

        lines++;
        CHECK((result == DEADLETTER_DAMAGED) == (reader.why != NULL));
        if (result == DEADLETTER_READY) {
            buffer_truncate(&again, 0);
            CHECK(deadletter_encode(&again, &letter, SIZE_MAX) == 0);
            CHECK(buffer_size(&again) == after - before);
            CHECK(memcmp(buffer_data(&again), data + before, after - before) == 0);
        }
        before = after;
    }
    CHECK(lines == reader.line);
    buffer_free(&again);
    free(copy);
    return 0;
}
