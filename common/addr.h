// addr.h - an IPv4 or IPv6 address with a port, and its text form.
// Floor 0.
//
// No name look-ups: "127.0.0.1:7777", "[::1]:7777", "*:7777" (every address, both families). An
// IPv4 address that arrives on a dual-stack listener as ::ffff:a.b.c.d is kept as IPv4.
#ifndef TROUPE_ADDR_H
#define TROUPE_ADDR_H

#include "base.h"

enum { ADDR_TEXT_MAX = 64 }; // room for any text form with its end

enum addr_family { ADDR_NONE, ADDR_IPV4, ADDR_IPV6 };

struct net_addr {
    enum addr_family family;
    uint16_t port;    // host byte order; 0 = any free one, for listeners
    uint8_t host[16]; // network byte order; IPv4 uses the first four
};

// Parses "host:port". 0, or -EINVAL with a static, lower-case text that says what is wrong
// ("port 70000 is above 65535") in out_why (may be NULL). out_addr is untouched on failure.
int addr_parse(const char *text, struct net_addr *out_addr, const char **out_why);

// Writes the text form into out (ADDR_TEXT_MAX bytes) and returns out. "*:port" never comes out:
// the dual-stack form is "[::]:port".
const char *addr_text(const struct net_addr *addr, char out[ADDR_TEXT_MAX]);

bool addr_equal(const struct net_addr *a, const struct net_addr *b); // host and port

// True for [::] (what "*" means): a listener there takes both families.
bool addr_is_dual_stack(const struct net_addr *addr);

#endif
