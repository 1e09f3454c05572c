// Goal: a child's line is taken for a report only when it is one to the letter.
// Method: every form, every way to miss it, lengths at the limit.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "report.h"

static void report_text_of_the_user_is_none(void **unused)
{
    static const char *const lines[] = {
        "",        "hello",         " troupe: ready", "troupe:ready",
        "troupe:", "Troupe: ready", "troup",          "a troupe: failed x"};
    struct report report;

    (void)unused;
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        report_parse(&report, lines[i]);
        assert_int_equal(report.kind, REPORT_NONE);
    }
}

static void report_ready_with_and_without_address(void **unused)
{
    struct report report;

    (void)unused;
    report_parse(&report, "troupe: ready");
    assert_int_equal(report.kind, REPORT_READY);
    assert_string_equal(report.text, "");
    report_parse(&report, "troupe: ready listen=[::1]:7777");
    assert_int_equal(report.kind, REPORT_READY);
    assert_string_equal(report.text, "[::1]:7777");
}

static void report_hung_is_taken_apart(void **unused)
{
    struct report report;

    (void)unused;
    report_parse(&report, "troupe: hung worker=3 pid=18446744073709551615 why=no answer for 5 s");
    assert_int_equal(report.kind, REPORT_HUNG);
    assert_int_equal(report.worker, 3);
    assert_true(report.process_id == UINT64_MAX);
    assert_string_equal(report.text, "no answer for 5 s");
    report_parse(&report, "troupe: hung worker=4294967295 pid=0 why=");
    assert_int_equal(report.kind, REPORT_HUNG);
    assert_true(report.worker == UINT32_MAX);
    assert_string_equal(report.text, "");
}

static void report_failed_holds_why(void **unused)
{
    struct report report;

    (void)unused;
    report_parse(&report, "troupe: failed gateway speaks version 2, we speak 1");
    assert_int_equal(report.kind, REPORT_FAILED);
    assert_string_equal(report.text, "gateway speaks version 2, we speak 1");
}

static void report_almost_right_is_bad(void **unused)
{
    static const char *const lines[] = {
        "troupe: ",
        "troupe: readyx",
        "troupe: ready ",
        "troupe: ready listen=",
        "troupe: ready at=1",
        "troupe: failed",
        "troupe: failed ",
        "troupe: hung",
        "troupe: hung worker=",
        "troupe: hung worker=x pid=1 why=y",
        "troupe: hung worker=-1 pid=1 why=y",
        "troupe: hung worker=4294967296 pid=1 why=y",
        "troupe: hung worker=99999999999999999999999 pid=1 why=y",
        "troupe: hung worker=1 pid=18446744073709551616 why=y",
        "troupe: hung worker=1 pid= why=y",
        "troupe: hung worker=1 pid=2",
        "troupe: hung worker=1  pid=2 why=y",
        "troupe: leave",
    };
    struct report report;

    (void)unused;
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        report_parse(&report, lines[i]);
        if (report.kind != REPORT_BAD)
            fail_msg("'%s' was taken for %d", lines[i], report.kind);
        assert_string_equal(report.text, "");
    }
}

static void report_long_text_is_cut_and_long_address_is_bad(void **unused)
{
    char line[1024] = "troupe: failed ";
    struct report report;

    (void)unused;
    memset(line + strlen(line), 'x', 1000);
    report_parse(&report, line);
    assert_int_equal(report.kind, REPORT_FAILED);
    assert_int_equal(strlen(report.text), REPORT_TEXT_MAX - 1);

    memset(line, 0, sizeof(line));
    strcpy(line, "troupe: ready listen=");
    memset(line + strlen(line), '1', REPORT_TEXT_MAX);
    report_parse(&report, line);
    assert_int_equal(report.kind, REPORT_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(report_text_of_the_user_is_none),
        cmocka_unit_test(report_ready_with_and_without_address),
        cmocka_unit_test(report_hung_is_taken_apart),
        cmocka_unit_test(report_failed_holds_why),
        cmocka_unit_test(report_almost_right_is_bad),
        cmocka_unit_test(report_long_text_is_cut_and_long_address_is_bad),
    };

    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
