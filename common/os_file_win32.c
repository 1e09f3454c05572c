// The part of os.h that deals with small files.
#include <windows.h>
#include <stdlib.h>

#include "os.h"
#include "error_win32.h"

enum {
    LOCK_TRIES = 100, // 1 ms apart: a holder writes one record, or is none of ours
    SHARE_ALL = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
};

// The byte that is locked lies far behind the file's end, so that readers are not kept out.
static int file_lock(HANDLE file)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        OVERLAPPED place = {.OffsetHigh = 0x40000000};

        if (LockFileEx(file, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &place))
            return 0;
        if (GetLastError() != ERROR_LOCK_VIOLATION && GetLastError() != ERROR_IO_PENDING)
            return error_from_windows(GetLastError());
        os_sleep_ms(1);
    }
    return -EAGAIN;
}

static int file_append(HANDLE file, const uint8_t *data, size_t size, uint64_t max)
{
    LARGE_INTEGER before;
    size_t done = 0;
    int rc = 0;

    if (!GetFileSizeEx(file, &before) || !SetFilePointerEx(file, before, NULL, FILE_BEGIN))
        return error_from_windows(GetLastError());
    if ((uint64_t)before.QuadPart > max || size > max - (uint64_t)before.QuadPart)
        return -EFBIG;
    while (rc == 0 && done < size) {
        DWORD part = size - done > UINT32_MAX / 2 ? UINT32_MAX / 2 : (DWORD)(size - done);
        DWORD wrote = 0;

        if (!WriteFile(file, data + done, part, &wrote, NULL))
            rc = error_from_windows(GetLastError());
        else if (wrote == 0)
            rc = -EIO;
        done += wrote;
    }
    if (rc != 0 && done > 0 && SetFilePointerEx(file, before, NULL, FILE_BEGIN))
        (void)SetEndOfFile(file);
    return rc;
}

int os_file_append(const char *path, const void *data, size_t size, uint64_t max)
{
    HANDLE file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, SHARE_ALL, NULL, OPEN_ALWAYS,
                              FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    int rc;

    if (file == INVALID_HANDLE_VALUE)
        return error_from_windows(GetLastError());
    rc = GetFileType(file) == FILE_TYPE_DISK ? file_lock(file) : -EINVAL;
    if (rc == 0)
        rc = file_append(file, data, size, max);
    CloseHandle(file); // and with it the lock
    return rc;
}

static int file_read(HANDLE file, size_t max, uint8_t **out_data, size_t *out_size)
{
    LARGE_INTEGER length;
    uint8_t *data;
    size_t size = 0;
    DWORD got = 1;

    if (!GetFileSizeEx(file, &length))
        return error_from_windows(GetLastError());
    if ((uint64_t)length.QuadPart > max)
        return -EFBIG;
    data = malloc((size_t)length.QuadPart + 1);
    if (data == NULL)
        return -ENOMEM;
    // What is appended meanwhile is left for the next time.
    while (got > 0 && size < (size_t)length.QuadPart) {
        size_t left = (size_t)length.QuadPart - size;

        if (!ReadFile(file, data + size, left > UINT32_MAX / 2 ? UINT32_MAX / 2 : (DWORD)left, &got,
                      NULL)) {
            int rc = error_from_windows(GetLastError());

            free(data);
            return rc;
        }
        size += got;
    }
    *out_data = data;
    *out_size = size;
    return 0;
}

int os_file_read(const char *path, size_t max, uint8_t **out_data, size_t *out_size)
{
    HANDLE file = CreateFileA(path, GENERIC_READ, SHARE_ALL, NULL, OPEN_EXISTING,
                              FILE_ATTRIBUTE_NORMAL, NULL);
    int rc;

    if (file == INVALID_HANDLE_VALUE)
        return error_from_windows(GetLastError());
    rc = file_read(file, max, out_data, out_size);
    CloseHandle(file);
    return rc;
}
