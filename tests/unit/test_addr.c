// Goal: addresses are read in every form of RFC 4291 and written in the one of RFC 5952.
// Method: tables of right and wrong texts; all values of a part; every pattern of zero groups and
// seeded random hosts must come back from their own text; random texts must not do harm.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"

enum { SEED = 5952, ROUNDS = 50000 };

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void expect_text(const char *text, const char *canonical)
{
    struct net_addr addr;
    const char *why = "";
    char out[ADDR_TEXT_MAX];

    if (addr_parse(text, &addr, &why) != 0)
        fail_msg("'%s': %s", text, why);
    assert_string_equal(addr_text(&addr, out), canonical);
}

static void addr_right_texts_become_canonical(void **unused)
{
    static const char *const table[][2] = {
        {"127.0.0.1:7777", "127.0.0.1:7777"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"255.255.255.255:65535", "255.255.255.255:65535"},
        {"*:7777", "[::]:7777"},
        {"[::]:7777", "[::]:7777"},
        {"[::1]:1", "[::1]:1"},
        {"[1::]:1", "[1::]:1"},
        {"[0:0:0:0:0:0:0:0]:1", "[::]:1"},
        {"[0000:0000:0000:0000:0000:0000:0000:0001]:1", "[::1]:1"},
        {"[2001:DB8:0:0:8:800:200C:417A]:80", "[2001:db8::8:800:200c:417a]:80"},
        {"[2001:db8::8:800:200c:417a]:80", "[2001:db8::8:800:200c:417a]:80"},
        {"[FF01:0:0:0:0:0:0:101]:80", "[ff01::101]:80"},
        {"[2001:db8:0:1:1:1:1:1]:1", "[2001:db8:0:1:1:1:1:1]:1"}, // one group is not shortened
        {"[2001:db8::1:1:1:1:1]:1", "[2001:db8:0:1:1:1:1:1]:1"},  // though it may be so read
        {"[2001:0:0:1:0:0:0:1]:1", "[2001:0:0:1::1]:1"},          // the longest run
        {"[2001:db8:0:0:1:0:0:1]:1", "[2001:db8::1:0:0:1]:1"},    // the first of two
        {"[0:0:1:0:0:0:0:0]:1", "[0:0:1::]:1"},
        {"[1:2:3:4:5:6:7::]:1", "[1:2:3:4:5:6:7:0]:1"},
        {"[::2:3:4:5:6:7:8]:1", "[0:2:3:4:5:6:7:8]:1"},
        {"[::13.1.68.3]:1", "[::d01:4403]:1"},
        {"[1:2:3:4:5:6:1.2.3.4]:1", "[1:2:3:4:5:6:102:304]:1"},
        {"[64:ff9b::192.0.2.33]:1", "[64:ff9b::c000:221]:1"},
        {"[::ffff:129.144.52.38]:5", "129.144.52.38:5"}, // kept as IPv4
        {"[::FFFF:8190:3426]:5", "129.144.52.38:5"},
        {"[0:0:0:0:0:ffff:1.2.3.4]:5", "1.2.3.4:5"},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++)
        expect_text(table[i][0], table[i][1]);
}

static void addr_wrong_texts_say_why_and_leave_output(void **unused)
{
    static const char *const table[][2] = {
        {"", "the port is missing: write host:port"},
        {"127.0.0.1", "the port is missing: write host:port"},
        {"[::1]", "the port is missing: write host:port"},
        {"127.0.0.1:", "the port is missing"},
        {":80", "the host is missing: '*' means every address"},
        {":", "the host is missing: '*' means every address"},
        {"1.2.3.4:65536", "the port is above 65535"},
        {"1.2.3.4:99999999999999999999999", "the port is above 65535"},
        {"1.2.3.4:-1", "the port is not a number"},
        {"1.2.3.4:+1", "the port is not a number"},
        {"1.2.3.4: 1", "the port is not a number"},
        {"1.2.3.4:1 ", "the port is not a number"},
        {"1.2.3.4:0x1", "a port has no leading zeros"},
        {"1.2.3.4:00", "a port has no leading zeros"},
        {"1.2.3.4:080", "a port has no leading zeros"},
        {"localhost:80", "the host is not an IP address (names are not looked up)"},
        {"**:80", "the host is not an IP address (names are not looked up)"},
        {"1.2.3:80", "the host is not an IP address (names are not looked up)"},
        {"1.2.3.4.5:80", "the host is not an IP address (names are not looked up)"},
        {"1.2.3.256:80", "the host is not an IP address (names are not looked up)"},
        {"1.2.3.0256:80", "the host is not an IP address (names are not looked up)"},
        {"01.2.3.4:80", "the host is not an IP address (names are not looked up)"},
        {"1..3.4:80", "the host is not an IP address (names are not looked up)"},
        {"1.2.3.:80", "the host is not an IP address (names are not looked up)"},
        {"1.2.3.4 :80", "the host is not an IP address (names are not looked up)"},
        {" 1.2.3.4:80", "the host is not an IP address (names are not looked up)"},
        {"::1:80", "an IPv6 address stands in []"},
        {"fe80::1:80", "an IPv6 address stands in []"},
        {"[::1:80", "'[' without ']'"},
        {"[:80", "'[' without ']'"},
        {"[::1]x:80", "'[' without ']'"},
        {"[fe80::1%eth0]:80", "an IPv6 zone is not supported"},
        {"[]:80", "what stands in [] is not an IPv6 address"},
        {"[:]:80", "what stands in [] is not an IPv6 address"},
        {"[1]:80", "what stands in [] is not an IPv6 address"},
        {"[1.2.3.4]:80", "what stands in [] is not an IPv6 address"},
        {"[:::]:80", "what stands in [] is not an IPv6 address"},
        {"[1:::2]:80", "what stands in [] is not an IPv6 address"},
        {"[1::2::3]:80", "what stands in [] is not an IPv6 address"},
        {"[1:2:3:4:5:6:7]:80", "what stands in [] is not an IPv6 address"},
        {"[1:2:3:4:5:6:7:8:9]:80", "what stands in [] is not an IPv6 address"},
        {"[1:2:3:4::5:6:7:8]:80", "what stands in [] is not an IPv6 address"},
        {"[::1:2:3:4:5:6:7:8]:80", "what stands in [] is not an IPv6 address"},
        {"[1:2:3:4:5:6:7:8::]:80", "what stands in [] is not an IPv6 address"},
        {"[1:2:3:4:5:6:7:]:80", "what stands in [] is not an IPv6 address"},
        {"[:1:2:3:4:5:6:7]:80", "what stands in [] is not an IPv6 address"},
        {"[12345::]:80", "what stands in [] is not an IPv6 address"},
        {"[g::]:80", "what stands in [] is not an IPv6 address"},
        {"[::1.2.3]:80", "what stands in [] is not an IPv6 address"},
        {"[::1.2.3.4:1]:80", "what stands in [] is not an IPv6 address"},
        {"[1:2:3:4:5:6:7:1.2.3.4]:80", "what stands in [] is not an IPv6 address"},
        {"[::1 ]:80", "what stands in [] is not an IPv6 address"},
    };
    struct net_addr addr = {.family = ADDR_IPV4, .port = 99, .host = {9, 9, 9, 9}};
    const struct net_addr before = addr;

    (void)unused;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        const char *why = "accepted";

        assert_int_equal(addr_parse(table[i][0], &addr, &why) == 0, false);
        if (strcmp(why, table[i][1]) != 0)
            fail_msg("'%s': %s", table[i][0], why);
        assert_int_equal(addr_parse(table[i][0], &addr, NULL), -EINVAL);
        assert_true(addr_equal(&addr, &before));
    }
}

static void addr_every_number_of_a_part_and_port(void **unused)
{
    char text[ADDR_TEXT_MAX];
    struct net_addr addr;

    (void)unused;
    for (unsigned part = 0; part < 1000; part++) {
        snprintf(text, sizeof(text), "1.%u.3.4:5", part);
        assert_int_equal(addr_parse(text, &addr, NULL), part < 256 ? 0 : -EINVAL);
        if (part < 256)
            assert_int_equal(addr.host[1], part);
    }
    for (unsigned port = 0; port < 70000; port++) {
        snprintf(text, sizeof(text), "1.2.3.4:%u", port);
        assert_int_equal(addr_parse(text, &addr, NULL), port < 65536 ? 0 : -EINVAL);
        if (port < 65536)
            assert_int_equal(addr.port, port);
    }
}

static void round_trip(const struct net_addr *addr)
{
    char text[ADDR_TEXT_MAX];
    struct net_addr back;

    addr_text(addr, text);
    if (addr_parse(text, &back, NULL) != 0 || !addr_equal(addr, &back))
        fail_msg("'%s' does not come back", text);
}

// Each of the 256 patterns of zero groups, with small and with large groups between.
static void addr_every_pattern_of_zeros_comes_back(void **unused)
{
    (void)unused;
    for (unsigned pattern = 0; pattern < 256; pattern++) {
        for (unsigned value = 1; value < 0x10000; value = value * 16 + 0xF) {
            struct net_addr addr = {.family = ADDR_IPV6, .port = (uint16_t)value};

            for (unsigned group = 0; group < 8; group++) {
                unsigned here = pattern >> group & 1 ? value : 0;

                addr.host[2 * group] = (uint8_t)(here >> 8);
                addr.host[2 * group + 1] = (uint8_t)here;
            }
            if (value != 0xFFFF || pattern != 0xE0) // ::ffff:... comes back as IPv4
                round_trip(&addr);
        }
    }
}

static void addr_random_hosts_come_back(void **unused)
{
    uint32_t state = SEED;

    (void)unused;
    print_message("seed %d\n", SEED);
    for (int i = 0; i < ROUNDS; i++) {
        struct net_addr addr = {.family = i % 2 == 0 ? ADDR_IPV4 : ADDR_IPV6};

        addr.port = (uint16_t)random_next(&state);
        for (int j = 0; j < (i % 2 == 0 ? 4 : 16); j++)
            addr.host[j] = random_next(&state) % 3 == 0 ? 0 : (uint8_t)random_next(&state);
        round_trip(&addr);
    }
}

static void addr_random_texts_do_no_harm(void **unused)
{
    static const char alphabet[] = "0123456789abcF:::...[]*% xg";
    uint32_t state = SEED;

    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        char text[48];
        size_t size = random_next(&state) % (sizeof(text) - 1);
        struct net_addr addr;

        for (size_t j = 0; j < size; j++)
            text[j] = alphabet[random_next(&state) % (sizeof(alphabet) - 1)];
        text[size] = '\0';
        if (addr_parse(text, &addr, NULL) == 0)
            round_trip(&addr);
    }
}

static void addr_equal_compares_family_host_and_port(void **unused)
{
    struct net_addr a = {.family = ADDR_IPV4, .port = 1, .host = {1, 2, 3, 4}};
    struct net_addr b = a;

    (void)unused;
    b.host[9] = 1; // not a part of an IPv4 address
    assert_true(addr_equal(&a, &b));
    b.host[3] = 5;
    assert_false(addr_equal(&a, &b));
    b = a;
    b.port = 2;
    assert_false(addr_equal(&a, &b));
    b = a;
    b.family = ADDR_IPV6;
    assert_false(addr_equal(&a, &b));
    a.family = ADDR_IPV6;
    assert_true(addr_equal(&a, &b));
    b.host[15] = 1;
    assert_false(addr_equal(&a, &b));
    a.family = b.family = ADDR_NONE;
    assert_true(addr_equal(&a, &b));
}

static void addr_dual_stack_is_the_ipv6_any(void **unused)
{
    struct net_addr addr;
    char text[ADDR_TEXT_MAX];

    (void)unused;
    assert_int_equal(addr_parse("*:0", &addr, NULL), 0);
    assert_true(addr_is_dual_stack(&addr));
    assert_int_equal(addr_parse("0.0.0.0:0", &addr, NULL), 0);
    assert_false(addr_is_dual_stack(&addr));
    assert_int_equal(addr_parse("[::1]:0", &addr, NULL), 0);
    assert_false(addr_is_dual_stack(&addr));
    addr.family = ADDR_NONE;
    assert_string_equal(addr_text(&addr, text), "none");
    addr =
        (struct net_addr){.family = ADDR_IPV6,
                          .host = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 255, 255, 255, 255}};
    assert_string_equal(addr_text(&addr, text), "[::ffff:255.255.255.255]:0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addr_right_texts_become_canonical),
        cmocka_unit_test(addr_wrong_texts_say_why_and_leave_output),
        cmocka_unit_test(addr_every_number_of_a_part_and_port),
        cmocka_unit_test(addr_every_pattern_of_zeros_comes_back),
        cmocka_unit_test(addr_random_hosts_come_back),
        cmocka_unit_test(addr_random_texts_do_no_harm),
        cmocka_unit_test(addr_equal_compares_family_host_and_port),
        cmocka_unit_test(addr_dual_stack_is_the_ipv6_any),
    };

    return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
