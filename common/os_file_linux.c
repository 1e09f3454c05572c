// The part of os.h that deals with small files.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os.h"

enum {
    LOCK_TRIES = 100, // 1 ms apart: a holder writes one record, or is none of ours
    READ_STEP = 64 * 1024,
};

static int file_lock(int descriptor)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(descriptor, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        os_sleep_ms(1);
    }
    return -EAGAIN;
}

static int file_append(int descriptor, const uint8_t *data, size_t size, uint64_t max)
{
    struct stat about;
    uint64_t before;
    size_t done = 0;

    if (fstat(descriptor, &about) != 0)
        return -errno;
    if (!S_ISREG(about.st_mode))
        return -EINVAL;
    before = (uint64_t)about.st_size;
    if (before > max || size > max - before)
        return -EFBIG;
    while (done < size) {
        ssize_t wrote = write(descriptor, data + done, size - done);
        int error = errno;

        if (wrote > 0) {
            done += (size_t)wrote;
        } else if (wrote == 0 || error != EINTR) {
            if (done > 0 && ftruncate(descriptor, about.st_size) != 0)
                error = errno;
            return wrote == 0 ? -EIO : -error;
        }
    }
    return 0;
}

int os_file_append(const char *path, const void *data, size_t size, uint64_t max)
{
    // Neither through a link that somebody laid, nor waiting for a reader of a pipe.
    int descriptor = open(
        path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
    int rc;

    if (descriptor < 0)
        return -errno;
    rc = file_lock(descriptor);
    if (rc == 0)
        rc = file_append(descriptor, data, size, max);
    close(descriptor); // and with it the lock
    return rc;
}

static int file_read(int descriptor, size_t max, uint8_t **out_data, size_t *out_size)
{
    uint8_t *data = NULL;
    size_t size = 0;
    size_t room = 0;

    for (;;) {
        ssize_t got;

        if (size == room) {
            uint8_t *larger = room > max ? NULL : realloc(data, room + READ_STEP);

            if (larger == NULL) {
                free(data);
                return room > max ? -EFBIG : -ENOMEM;
            }
            data = larger;
            room += READ_STEP;
        }
        got = read(descriptor, data + size, room - size);
        if (got > 0) {
            size += (size_t)got;
        } else if (got == 0 && size <= max) {
            *out_data = data;
            *out_size = size;
            return 0;
        } else if (got == 0 || errno != EINTR) {
            int error = got == 0 ? EFBIG : errno;

            free(data);
            return -error;
        }
    }
}

int os_file_read(const char *path, size_t max, uint8_t **out_data, size_t *out_size)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int rc;

    if (descriptor < 0)
        return -errno;
    rc = file_read(descriptor, max, out_data, out_size);
    close(descriptor);
    return rc;
}
