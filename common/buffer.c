#include "buffer.h"

#include <stdlib.h>
#include <string.h>

enum { BUFFER_CAPACITY_MIN = 256 };

// Room for `size` more bytes in memory of its own; the old memory is untouched on failure.
static bool buffer_grow(struct buffer *buffer, size_t size)
{
    size_t used = buffer_size(buffer);
    size_t capacity = buffer->capacity;
    uint8_t *memory;

    if (size > (size_t)PTRDIFF_MAX - used)
        return false;
    capacity = capacity > (size_t)PTRDIFF_MAX / 2 ? (size_t)PTRDIFF_MAX : capacity * 2;
    if (capacity < used + size)
        capacity = used + size;
    if (capacity < BUFFER_CAPACITY_MIN)
        capacity = BUFFER_CAPACITY_MIN;
    memory = malloc(capacity);
    if (memory == NULL)
        return false;
    if (used > 0)
        memcpy(memory, buffer_data(buffer), used);
    free(buffer->memory);
    *buffer = (struct buffer){.memory = memory, .capacity = capacity, .tail = used};
    return true;
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t size)
{
    size_t used = buffer_size(buffer);

    if (buffer->memory != NULL && buffer->capacity - buffer->tail >= size)
        return buffer->memory + buffer->tail;
    // Moving to the front pays only when no more is moved than was consumed before: otherwise a
    // nearly full buffer would move all of itself for each byte that comes and goes.
    if (buffer->memory != NULL && buffer->capacity - used >= size && used <= buffer->head) {
        memmove(buffer->memory, buffer->memory + buffer->head, used);
        buffer->head = 0;
        buffer->tail = used;
    } else if (!buffer_grow(buffer, size)) {
        return NULL;
    }
    return buffer->memory + buffer->tail;
}

void buffer_commit(struct buffer *buffer, size_t size)
{
    CHECK(size <= buffer->capacity - buffer->tail);
    buffer->tail += size;
}

int buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    uint8_t *to;

    if (size == 0)
        return 0;
    to = buffer_reserve(buffer, size);
    if (to == NULL)
        return -ENOMEM;
    memcpy(to, data, size);
    buffer_commit(buffer, size);
    return 0;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    CHECK(size <= buffer_size(buffer));
    buffer->head += size;
    if (buffer->head == buffer->tail) {
        buffer->head = 0;
        buffer->tail = 0;
    }
}

void buffer_truncate(struct buffer *buffer, size_t size)
{
    CHECK(size <= buffer_size(buffer));
    buffer->tail = buffer->head + size;
    if (size == 0) {
        buffer->head = 0;
        buffer->tail = 0;
    }
}

void buffer_trim(struct buffer *buffer, size_t keep)
{
    if (buffer_size(buffer) == 0 && buffer->capacity > keep)
        buffer_free(buffer);
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->memory);
    *buffer = (struct buffer){0};
}
