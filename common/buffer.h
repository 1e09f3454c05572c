// buffer.h - a growing queue of bytes: appended at the tail, consumed from the front.
// Floor 0.
//
//   1. struct buffer b = {0};
//   2. buffer_append(&b, data, size), or buffer_reserve(), write, buffer_commit()
//   3. buffer_data(&b), buffer_size(&b); buffer_consume(&b, n)
//   4. buffer_free(&b)
//
// One owner. Pointers into it die with the next append or reserve. It has no limit of its own: who
// fills it knows the limit. Memory is given back by buffer_free() or buffer_trim() only.
#ifndef TROUPE_BUFFER_H
#define TROUPE_BUFFER_H

#include "base.h"

struct buffer {
    uint8_t *memory;
    size_t capacity; // bytes of memory
    size_t head;     // first unread byte
    size_t tail;     // one past the last byte
};

static inline size_t buffer_size(const struct buffer *buffer)
{
    return buffer->tail - buffer->head;
}

static inline const uint8_t *buffer_data(const struct buffer *buffer)
{
    return buffer->memory == NULL ? NULL : buffer->memory + buffer->head; // NULL + 0 is undefined
}

// Room for `size` more bytes at the tail. Returns where to write them, or NULL when out of memory
// (nothing changed).
uint8_t *buffer_reserve(struct buffer *buffer, size_t size);

// `size` bytes have been written where buffer_reserve() said.
void buffer_commit(struct buffer *buffer, size_t size);

// 0, or -ENOMEM (nothing changed). `data` must not point into the buffer.
int buffer_append(struct buffer *buffer, const void *data, size_t size);

// Takes `size` bytes off the front; they must be there.
void buffer_consume(struct buffer *buffer, size_t size);

// Drops everything but the first `size` bytes, to take back what was just appended.
void buffer_truncate(struct buffer *buffer, size_t size);

// Gives the memory back when nothing is stored and it holds more than `keep` bytes.
void buffer_trim(struct buffer *buffer, size_t keep);

// Gives all memory back; the buffer is empty and may be used again.
void buffer_free(struct buffer *buffer);

#endif
