#include "pattern.h"

#include <string.h>

enum { BLOCK = 8, BINARY_HEAD = 8, TEXT_HEAD = 16 };

static uint64_t mix(uint64_t value) // the finalizer of splitmix64
{
    value += 0x9e3779b97f4a7c15U;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9U;
    value = (value ^ value >> 27) * 0x94d049bb133111ebU;
    return value ^ value >> 31;
}

static uint64_t frame_key(const struct pattern *pattern, uint32_t client, uint64_t sequence)
{
    return mix(mix(pattern->seed ^ (uint64_t)client << 32) + sequence);
}

static void block_binary(uint64_t key, size_t number, uint8_t out[BLOCK])
{
    uint64_t value = mix(key + number);
    size_t i;

    for (i = 0; i < BLOCK; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

static void block_text(uint64_t key, size_t number, uint8_t out[BLOCK])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t i;

    block_binary(key, number, out);
    for (i = 0; i < BLOCK; i++)
        out[i] = (uint8_t)letters[out[i] & 63];
}

static void head_binary(uint32_t client, uint64_t sequence, uint8_t out[BINARY_HEAD])
{
    size_t i;

    for (i = 0; i < 4; i++) {
        out[i] = (uint8_t)(sequence >> 8 * i);
        out[4 + i] = (uint8_t)(client >> 8 * i);
    }
}

static void head_text(uint32_t client, uint64_t sequence, uint8_t out[TEXT_HEAD])
{
    size_t i;

    for (i = 0; i < 8; i++) {
        out[i] = (uint8_t) "0123456789abcdef"[sequence >> (28 - 4 * i) & 15];
        out[8 + i] = (uint8_t) "0123456789abcdef"[client >> (28 - 4 * i) & 15];
    }
}

size_t pattern_size(const struct pattern *pattern, uint32_t client, uint64_t sequence)
{
    size_t span = pattern->size_max - pattern->size_min;
    uint64_t key = mix(frame_key(pattern, client, sequence));
    unsigned bits = 0;
    size_t more;

    if (sequence < 2)
        return (sequence + client) % 2 == 0 ? pattern->size_min : pattern->size_max;
    while (bits < 63 && (uint64_t)span >> bits > 0)
        bits++;
    more = (size_t)(key >> 6 & (((uint64_t)1 << (key % (bits + 1))) - 1));
    return pattern->size_min + (more < span ? more : span);
}

void pattern_fill(const struct pattern *pattern, uint32_t client, uint64_t sequence, size_t offset,
                  uint8_t *out, size_t size)
{
    bool text = pattern->alphabet == PATTERN_TEXT;
    size_t head_size = text ? TEXT_HEAD : BINARY_HEAD;
    uint64_t key = frame_key(pattern, client, sequence);
    uint8_t head[TEXT_HEAD];
    size_t done = 0;

    if (pattern_size(pattern, client, sequence) < head_size)
        head_size = 0;
    else if (text)
        head_text(client, sequence, head);
    else
        head_binary(client, sequence, head);
    while (done < size) {
        size_t at = offset + done;
        size_t within = at % BLOCK;
        size_t n = BLOCK - within;
        uint8_t block[BLOCK];

        if (at < head_size)
            memcpy(block, head + at - within, BLOCK);
        else if (text)
            block_text(key, at / BLOCK, block);
        else
            block_binary(key, at / BLOCK, block);
        if (n > size - done)
            n = size - done;
        memcpy(out + done, block + within, n);
        done += n;
    }
}

size_t pattern_match(const struct pattern *pattern, uint32_t client, uint64_t sequence,
                     size_t offset, const uint8_t *data, size_t size)
{
    uint8_t expected[1024];
    size_t done = 0;

    while (done < size) {
        size_t n = size - done < sizeof expected ? size - done : sizeof expected;

        pattern_fill(pattern, client, sequence, offset + done, expected, n);
        if (memcmp(data + done, expected, n) != 0) {
            size_t i = 0;

            while (data[done + i] == expected[i])
                i++;
            return done + i;
        }
        done += n;
    }
    return size;
}
