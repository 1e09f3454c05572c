#include "base.h"

#include <stdio.h>
#include <stdlib.h>

void base_check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
    fflush(stderr);
    abort();
}

// Where two names share a number (EAGAIN, EWOULDBLOCK), the first row wins.
static const struct {
    int error;
    const char *text;
} error_texts[] = {
    {0, "success"},
    {E2BIG, "too many arguments"},
    {EACCES, "permission denied"},
    {EADDRINUSE, "address already in use"},
    {EADDRNOTAVAIL, "address not available on this host"},
    {EAFNOSUPPORT, "address family not supported"},
    {EAGAIN, "resource temporarily unavailable"},
    {EALREADY, "operation already in progress"},
    {EBADF, "bad descriptor"},
    {EBADMSG, "bad message"},
    {EBUSY, "already in use"},
    {ECANCELED, "operation cancelled"},
    {ECHILD, "no such child process"},
    {ECONNABORTED, "connection aborted"},
    {ECONNREFUSED, "connection refused"},
    {ECONNRESET, "connection reset by peer"},
    {EDESTADDRREQ, "destination address required"},
    {EDOM, "argument out of its domain"},
    {EEXIST, "already exists"},
    {EFAULT, "bad memory address"},
    {EFBIG, "file too large"},
    {EHOSTUNREACH, "host unreachable"},
    {EINPROGRESS, "operation in progress"},
    {EINTR, "interrupted"},
    {EINVAL, "invalid argument"},
    {EIO, "input or output error"},
    {EISCONN, "already connected"},
    {EISDIR, "is a folder"},
    {ELOOP, "too many symbolic links"},
    {EMFILE, "too many open descriptors in this process"},
    {EMSGSIZE, "message too long"},
    {ENAMETOOLONG, "name too long"},
    {ENETDOWN, "network is down"},
    {ENETRESET, "connection reset by network"},
    {ENETUNREACH, "network unreachable"},
    {ENFILE, "too many open descriptors in the system"},
    {ENOBUFS, "no buffer space"},
    {ENODEV, "no such device"},
    {ENOENT, "no such file or folder"},
    {ENOEXEC, "not a program of this system"},
    {ENOLCK, "no locks available"},
    {ENOMEM, "out of memory"},
    {ENOPROTOOPT, "protocol option not available"},
    {ENOSPC, "no space left on device"},
    {ENOSYS, "not implemented by this system"},
    {ENOTCONN, "not connected"},
    {ENOTDIR, "not a folder"},
    {ENOTEMPTY, "folder not empty"},
    {ENOTSOCK, "not a socket"},
    {ENOTSUP, "not supported"},
    {ENOTTY, "not a terminal"},
    {ENXIO, "no such device or address"},
    {EOPNOTSUPP, "operation not supported"},
    {EOVERFLOW, "value too large"},
    {EPERM, "operation not permitted"},
    {EPIPE, "broken pipe"},
    {EPROTO, "protocol error"},
    {EPROTONOSUPPORT, "protocol not supported"},
    {EPROTOTYPE, "wrong protocol type for the socket"},
    {ERANGE, "result out of range"},
    {EROFS, "read-only file system"},
    {ESPIPE, "descriptor cannot be positioned"},
    {ESRCH, "no such process"},
    {ETIMEDOUT, "timed out"},
    {ETXTBSY, "program file is being written"},
    {EWOULDBLOCK, "operation would block"},
    {EXDEV, "link across file systems"},
};

const char *error_text(int error)
{
    for (size_t i = 0; i < ARRAY_COUNT(error_texts); i++) {
        if (-error_texts[i].error == error)
            return error_texts[i].text;
    }
    return "unknown error";
}

// One UTF-8 sequence: its length, and its code point in out_code; 0 when it is malformed, cut,
// longer than needed or a surrogate.
static size_t utf8_decode(const uint8_t *data, size_t size, uint32_t *out_code)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t code = data[0];
    size_t length;

    if (code < 0x80)
        length = 1;
    else if (code >= 0xC2 && code < 0xE0)
        length = 2;
    else if (code >= 0xE0 && code < 0xF0)
        length = 3;
    else if (code >= 0xF0 && code < 0xF5)
        length = 4;
    else
        return 0;
    if (length > size)
        return 0;
    if (length > 1)
        code &= 0x7Fu >> length;
    for (size_t i = 1; i < length; i++) {
        if ((data[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (data[i] & 0x3Fu);
    }
    if (code < smallest[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        return 0;
    *out_code = code;
    return length;
}

size_t text_printable(const char *text, size_t size)
{
    // Controls, line ends, and what changes the direction of its neighbours or shows nothing.
    static const struct {
        uint32_t first;
        uint32_t last;
    } unprintable[] = {
        {0x00, 0x1F},     {0x7F, 0x9F},     {0x200B, 0x200F}, {0x2028, 0x202E},
        {0x2060, 0x206F}, {0xFEFF, 0xFEFF}, {0xFFF0, 0xFFFB}, {0xFFFE, 0xFFFF},
    };
    uint32_t code = 0;
    size_t length;

    if (size == 0)
        return 0;
    length = utf8_decode((const uint8_t *)text, size, &code);
    for (size_t i = 0; i < ARRAY_COUNT(unprintable); i++) {
        if (code >= unprintable[i].first && code <= unprintable[i].last)
            return 0;
    }
    return length;
}
