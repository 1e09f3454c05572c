#include "addr.h"

#include <stdio.h>
#include <string.h>

enum { IPV6_GROUPS = 8, PORT_MAX = 65535 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

// Four decimal numbers and nothing else. A leading zero is refused: some read it as octal.
static bool ipv4_parse(const char *text, size_t size, uint8_t out_host[4])
{
    uint8_t host[4];
    size_t at = 0;

    for (size_t part = 0; part < 4; part++) {
        unsigned value = 0;
        size_t start;

        if (part > 0 && (at == size || text[at++] != '.'))
            return false;
        start = at;
        while (at < size && is_digit(text[at]) && at - start < 3)
            value = value * 10 + (unsigned)(text[at++] - '0');
        if (at == start || value > 255 || (text[start] == '0' && at - start > 1))
            return false;
        host[part] = (uint8_t)value;
    }
    if (at != size)
        return false;
    memcpy(out_host, host, sizeof(host));
    return true;
}

// What stands in the groups so far; `gap` is the group before which "::" stood, or -1.
struct ipv6_groups {
    uint16_t value[IPV6_GROUPS];
    int count;
    int gap;
};

// One group at text[*at]: 1 to 4 hexadecimal digits, or an IPv4 address that ends the text.
static bool ipv6_group(struct ipv6_groups *groups, const char *text, size_t size, size_t *at)
{
    size_t start = *at;
    unsigned value = 0;
    uint8_t host[4];

    if (groups->count + 2 <= IPV6_GROUPS && ipv4_parse(text + start, size - start, host)) {
        groups->value[groups->count++] = (uint16_t)(host[0] << 8 | host[1]);
        groups->value[groups->count++] = (uint16_t)(host[2] << 8 | host[3]);
        *at = size;
        return true;
    }
    while (*at < size && *at - start < 4 && hex_digit(text[*at]) >= 0)
        value = value << 4 | (unsigned)hex_digit(text[(*at)++]);
    if (*at == start || groups->count == IPV6_GROUPS)
        return false;
    groups->value[groups->count++] = (uint16_t)value;
    return true;
}

// The text forms of RFC 4291, section 2.2.
static bool ipv6_groups_parse(struct ipv6_groups *groups, const char *text, size_t size)
{
    size_t at = 0;

    if (size >= 2 && text[0] == ':' && text[1] == ':') {
        groups->gap = 0;
        at = 2;
    }
    while (at < size) {
        if (!ipv6_group(groups, text, size, &at))
            return false;
        if (at == size)
            break;
        if (text[at++] != ':' || at == size)
            return false;
        if (text[at] == ':') {
            if (groups->gap >= 0)
                return false;
            groups->gap = groups->count;
            at++;
        }
    }
    // "::" stands for one group at least.
    return groups->gap >= 0 ? groups->count < IPV6_GROUPS : groups->count == IPV6_GROUPS;
}

static bool ipv6_parse(const char *text, size_t size, uint8_t out_host[16])
{
    struct ipv6_groups groups = {.gap = -1};
    int missing;

    if (!ipv6_groups_parse(&groups, text, size))
        return false;
    missing = IPV6_GROUPS - groups.count;
    memset(out_host, 0, 16);
    for (int i = 0; i < groups.count; i++) {
        int to = groups.gap >= 0 && i >= groups.gap ? i + missing : i;

        out_host[2 * to] = (uint8_t)(groups.value[i] >> 8);
        out_host[2 * to + 1] = (uint8_t)(groups.value[i] & 0xFF);
    }
    return true;
}

// ::ffff:a.b.c.d, RFC 4291 section 2.5.5.2.
static bool ipv6_is_mapped(const uint8_t host[16])
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

    return memcmp(host, prefix, sizeof(prefix)) == 0;
}

static const char *port_parse(const char *text, uint16_t *out_port)
{
    unsigned value = 0;

    if (*text == '\0')
        return "the port is missing";
    if (text[0] == '0' && text[1] != '\0')
        return "a port has no leading zeros";
    for (; *text != '\0'; text++) {
        if (!is_digit(*text))
            return "the port is not a number";
        value = value * 10 + (unsigned)(*text - '0');
        if (value > PORT_MAX)
            return "the port is above 65535";
    }
    *out_port = (uint16_t)value;
    return NULL;
}

static const char *host_parse(const char *text, size_t size, struct net_addr *addr)
{
    if (size == 1 && text[0] == '*') {
        addr->family = ADDR_IPV6;
        return NULL;
    }
    if (size > 0 && text[0] == '[') {
        if (text[size - 1] != ']')
            return "'[' without ']'";
        if (memchr(text, '%', size) != NULL)
            return "an IPv6 zone is not supported";
        if (!ipv6_parse(text + 1, size - 2, addr->host))
            return "what stands in [] is not an IPv6 address";
        addr->family = ADDR_IPV6;
        if (ipv6_is_mapped(addr->host)) {
            addr->family = ADDR_IPV4;
            memmove(addr->host, addr->host + 12, 4);
            memset(addr->host + 4, 0, 12);
        }
        return NULL;
    }
    if (size == 0)
        return "the host is missing: '*' means every address";
    if (memchr(text, ':', size) != NULL)
        return "an IPv6 address stands in []";
    if (!ipv4_parse(text, size, addr->host))
        return "the host is not an IP address (names are not looked up)";
    addr->family = ADDR_IPV4;
    return NULL;
}

static const char *parse(const char *text, struct net_addr *addr)
{
    const char *colon = strrchr(text, ':');
    const char *close = strrchr(text, ']');
    const char *why;

    if (colon == NULL || (close != NULL && close > colon))
        return "the port is missing: write host:port";
    why = host_parse(text, (size_t)(colon - text), addr);
    return why != NULL ? why : port_parse(colon + 1, &addr->port);
}

static uint16_t ipv6_value(const uint8_t host[16], int group)
{
    return (uint16_t)(host[2 * group] << 8 | host[2 * group + 1]);
}

// The longest run of two zero groups or more, the first of equals: RFC 5952, section 4.2.
static void ipv6_zero_run(const uint8_t host[16], int *out_first, int *out_count)
{
    int count = 0;

    *out_first = -1;
    *out_count = 1;
    for (int i = 0; i < IPV6_GROUPS; i++) {
        count = ipv6_value(host, i) == 0 ? count + 1 : 0;
        if (count > *out_count) {
            *out_count = count;
            *out_first = i - count + 1;
        }
    }
}

static size_t ipv6_text(const uint8_t host[16], char *out, size_t room)
{
    int first, count;
    size_t at = 0;

    if (ipv6_is_mapped(host))
        return (size_t)snprintf(out, room, "::ffff:%u.%u.%u.%u", host[12], host[13], host[14],
                                host[15]);
    ipv6_zero_run(host, &first, &count);
    for (int i = 0; i < IPV6_GROUPS;) {
        if (i == first) {
            at += (size_t)snprintf(out + at, room - at, "::");
            i += count;
            continue;
        }
        if (i > 0 && (first < 0 || i != first + count))
            out[at++] = ':';
        at += (size_t)snprintf(out + at, room - at, "%x", ipv6_value(host, i));
        i++;
    }
    return at;
}

int addr_parse(const char *text, struct net_addr *out_addr, const char **out_why)
{
    struct net_addr addr = {.family = ADDR_NONE};
    const char *why = parse(text, &addr);

    if (why != NULL) {
        if (out_why != NULL)
            *out_why = why;
        return -EINVAL;
    }
    *out_addr = addr;
    return 0;
}

const char *addr_text(const struct net_addr *addr, char out[ADDR_TEXT_MAX])
{
    const uint8_t *host = addr->host;
    size_t at;

    switch (addr->family) {
    case ADDR_IPV4:
        snprintf(out, ADDR_TEXT_MAX, "%u.%u.%u.%u:%u", host[0], host[1], host[2], host[3],
                 addr->port);
        break;
    case ADDR_IPV6:
        out[0] = '[';
        at = 1 + ipv6_text(host, out + 1, ADDR_TEXT_MAX - 1);
        snprintf(out + at, ADDR_TEXT_MAX - at, "]:%u", addr->port);
        break;
    default:
        snprintf(out, ADDR_TEXT_MAX, "none");
        break;
    }
    return out;
}

bool addr_equal(const struct net_addr *a, const struct net_addr *b)
{
    if (a->family != b->family)
        return false;
    if (a->family == ADDR_NONE)
        return true;
    return a->port == b->port && memcmp(a->host, b->host, a->family == ADDR_IPV4 ? 4 : 16) == 0;
}

bool addr_is_dual_stack(const struct net_addr *addr)
{
    static const uint8_t any[16];

    return addr->family == ADDR_IPV6 && memcmp(addr->host, any, sizeof(any)) == 0;
}
