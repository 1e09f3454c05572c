// pattern.h - what a test frame holds: a function of seed, client and sequence.
// Floor 0. Pure. Whoever knows the three can check every byte, at any place, without keeping it.
//
// A frame of 8 bytes and more begins with its sequence and its client as u32 little-endian (text:
// 16 hexadecimal digits); the rest, and shorter frames whole, is a pseudo-random stream of their
// own. Text frames hold letters and digits only. For the rookiss preset the sequence's low half is
// the id that clients expect in front.
#ifndef TROUPE_PATTERN_H
#define TROUPE_PATTERN_H

#include "base.h"

enum pattern_alphabet { PATTERN_BINARY, PATTERN_TEXT };

struct pattern {
    uint64_t seed;
    enum pattern_alphabet alphabet;
    size_t size_min;
    size_t size_max;
};

// Size of one frame. A client's first two frames have the smallest and the largest size, the others
// are spread over the powers of two between.
size_t pattern_size(const struct pattern *pattern, uint32_t client, uint64_t sequence);

// Writes bytes [offset, offset + size) of that frame.
void pattern_fill(const struct pattern *pattern, uint32_t client, uint64_t sequence, size_t offset,
                  uint8_t *out, size_t size);

// How many of `size` bytes, from the first on, are what that frame holds from `offset` on.
size_t pattern_match(const struct pattern *pattern, uint32_t client, uint64_t sequence,
                     size_t offset, const uint8_t *data, size_t size);

#endif
