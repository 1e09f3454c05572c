#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "os.h"

enum {
    CORES_MAX = 1 << 16,                 // more than any kernel is built for
    DESCRIPTORS_WITHOUT_LIMIT = 1 << 20, // tried when the hard limit is "unlimited"
};

struct stop_watch {
    void (*fn)(void *context);
    void *context;
    sigset_t signals;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    CHECK(clock_gettime(clock, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// snprintf into a path. 0 or -ENAMETOOLONG.
BASE_PRINTF(2, 3)
static int path_format(char out[OS_PATH_MAX], const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(out, OS_PATH_MAX, format, arguments);
    va_end(arguments);
    return length < 0 || length >= OS_PATH_MAX ? -ENAMETOOLONG : 0;
}

// A small file of /proc or /sys as text. False when there is none.
static bool file_text(const char *path, char *out, size_t room)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    size_t size = 0;
    ssize_t got;

    if (descriptor < 0)
        return false;
    while (size + 1 < room && (got = read(descriptor, out + size, room - 1 - size)) > 0)
        size += (size_t)got;
    close(descriptor);
    out[size] = '\0';
    return size > 0;
}

static int write_all(int descriptor, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t wrote = write(descriptor, text, size);

        if (wrote >= 0) {
            text += wrote;
            size -= (size_t)wrote;
        } else if (errno == EAGAIN) {
            // Whoever gave us the descriptor made it non-blocking: wait as a blocking one would.
            struct pollfd ready = {.fd = descriptor, .events = POLLOUT};

            (void)poll(&ready, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

static uint32_t affinity_cores(void)
{
    // The kernel refuses a set smaller than its own: sched_getaffinity(2), "C library/kernel
    // differences".
    for (int cores = 1024; cores <= CORES_MAX; cores *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)cores);
        size_t size = CPU_ALLOC_SIZE((size_t)cores);
        int count = 0;

        if (set == NULL)
            break;
        if (sched_getaffinity(0, size, set) == 0)
            count = CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (count > 0)
            return (uint32_t)count;
    }
    return 1;
}

// Cores that "cpu.max" of one cgroup folder grants, rounded up; UINT32_MAX = no limit.
static uint32_t quota_cores(const char *folder)
{
    char path[OS_PATH_MAX];
    char text[64];
    unsigned long long quota, period;

    if (path_format(path, "%s/cpu.max", folder) != 0 || !file_text(path, text, sizeof(text)) ||
        sscanf(text, "%llu %llu", &quota, &period) != 2 || period == 0 || quota == 0)
        return UINT32_MAX;
    quota = quota / period + (quota % period != 0);
    return quota > UINT32_MAX ? UINT32_MAX : (uint32_t)quota;
}

// The least of what our cgroup (v2) and those above it grant: cgroups(7), "/proc/[pid]/cgroup".
static uint32_t cgroup_cores(void)
{
    static const char root[] = "/sys/fs/cgroup";
    char text[4096];
    char folder[OS_PATH_MAX];
    uint32_t cores = UINT32_MAX;
    const char *line;

    if (!file_text("/proc/self/cgroup", text, sizeof(text)))
        return cores;
    line = strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");
    if (line == NULL)
        return cores;
    line = strchr(line, '/');
    if (path_format(folder, "%s%.*s", root, (int)strcspn(line, "\n"), line) != 0)
        return cores;
    while (strlen(folder) >= sizeof(root) - 1) {
        uint32_t here = quota_cores(folder);

        if (here < cores)
            cores = here;
        *strrchr(folder, '/') = '\0';
    }
    return cores;
}

void os_init(void)
{
    sigset_t stops;

    // Descriptors 0 to 2 must be the standard streams, or a socket becomes standard error.
    for (int descriptor = 0; descriptor <= 2; descriptor++) {
        if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            abort();
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); // an inherited SIG_IGN would take exit codes away: wait(2), "Notes"
    signal(SIGINT, SIG_DFL);  // a shell starts "program &" with it ignored
    signal(SIGTERM, SIG_DFL);
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &stops, NULL);
}

uint64_t os_now_ms(void)
{
    return clock_ns(CLOCK_MONOTONIC) / 1000000u;
}

uint64_t os_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t os_now_utc_ms(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000000u;
}

uint32_t os_core_count(void)
{
    uint32_t cores = affinity_cores();
    uint32_t granted = cgroup_cores();

    return granted < cores ? granted : cores;
}

uint64_t os_process_id(void)
{
    return (uint64_t)getpid();
}

void os_random(void *out, size_t size)
{
    uint8_t *to = out;

    while (size > 0) {
        ssize_t got = getrandom(to, size, 0);

        if (got < 0 && errno == EINTR)
            continue;
        CHECK(got > 0);
        to += got;
        size -= (size_t)got;
    }
}

void os_sleep_ms(uint32_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

uint64_t os_resident_bytes(uint64_t process_id)
{
    char path[64];
    char text[256];
    unsigned long long pages;

    snprintf(path, sizeof(path), "/proc/%llu/statm", (unsigned long long)process_id);
    if (!file_text(path, text, sizeof(text)) || sscanf(text, "%*u %llu", &pages) != 1)
        return 0;
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t os_cpu_time_us(uint64_t process_id)
{
    clockid_t clock;
    struct timespec used;

    // Finer than the ticks of /proc/PID/stat, and any process may be asked: clock_getcpuclockid(3).
    if (clock_getcpuclockid((pid_t)process_id, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return 0;
    return (uint64_t)used.tv_sec * 1000000u + (uint64_t)used.tv_nsec / 1000u;
}

uint32_t os_descriptor_limit_raise(void)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur != limit.rlim_max) {
        struct rlimit wanted = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};

        if (wanted.rlim_cur == RLIM_INFINITY)
            wanted.rlim_cur = DESCRIPTORS_WITHOUT_LIMIT;
        if (wanted.rlim_cur > limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &wanted) == 0)
            limit = wanted;
    }
    return limit.rlim_cur > UINT32_MAX ? UINT32_MAX : (uint32_t)limit.rlim_cur;
}

static void *thread_main(void *argument)
{
    struct os_thread *thread = argument;

    thread->run(thread->argument);
    return NULL;
}

int os_thread_start(struct os_thread *thread, void (*run)(void *), void *argument)
{
    pthread_t handle;

    thread->run = run;
    thread->argument = argument;
    if (pthread_create(&handle, NULL, thread_main, thread) != 0)
        return -EAGAIN;
    thread->handle = (uintptr_t)handle;
    return 0;
}

void os_thread_join(struct os_thread *thread)
{
    CHECK(pthread_join((pthread_t)thread->handle, NULL) == 0);
}

static void *stop_main(void *argument)
{
    const struct stop_watch *watch = argument;
    int signal_number;

    for (;;) {
        if (sigwait(&watch->signals, &signal_number) == 0)
            watch->fn(watch->context);
    }
    return NULL;
}

void os_on_stop(void (*fn)(void *context), void *context)
{
    static struct stop_watch watch; // lives as long as its thread: to the end of the process
    struct sigaction hangup;
    pthread_t thread;

    CHECK(watch.fn == NULL);
    watch.fn = fn;
    watch.context = context;
    sigemptyset(&watch.signals);
    sigaddset(&watch.signals, SIGINT);
    sigaddset(&watch.signals, SIGTERM);
    // The terminal was closed; under nohup it is ignored and stays so.
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaddset(&watch.signals, SIGHUP);
    CHECK(pthread_sigmask(SIG_BLOCK, &watch.signals, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, stop_main, &watch) == 0);
    pthread_detach(thread);
}

int os_program_folder(char out[OS_PATH_MAX])
{
    char path[OS_PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path));

    if (length < 0)
        return -errno;
    if (length >= OS_PATH_MAX)
        return -ENAMETOOLONG;
    path[length] = '\0';
    *strrchr(path, '/') = '\0';
    return path_format(out, "%s", path);
}

int os_find_program(const char *name, char out[OS_PATH_MAX])
{
    char folder[OS_PATH_MAX];
    struct stat about;
    int rc;

    if (strchr(name, '/') != NULL) {
        rc = path_format(out, "%s", name);
    } else {
        rc = os_program_folder(folder);
        if (rc == 0)
            rc = path_format(out, "%s/%s", folder, name);
    }
    if (rc != 0)
        return rc;
    if (*name == '\0' || stat(out, &about) != 0)
        return -ENOENT;
    return S_ISREG(about.st_mode) && access(out, X_OK) == 0 ? 0 : -EACCES;
}

int os_runtime_dir_default(char out[OS_PATH_MAX])
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    struct stat about;

    // The variable may have been inherited from another user (su, sudo): then it is not for us.
    if (base != NULL && base[0] == '/' && stat(base, &about) == 0 && S_ISDIR(about.st_mode) &&
        about.st_uid == geteuid())
        return path_format(out, "%s/troupe", base);
    return path_format(out, "/tmp/troupe-%lu", (unsigned long)geteuid());
}

int os_make_private_folder(const char *path)
{
    char part[OS_PATH_MAX];
    struct stat about;
    int rc = path_format(part, "%s", path);

    if (rc != 0)
        return rc;
    if (*path == '\0')
        return -ENOENT;
    for (size_t length = strlen(part); length > 1 && part[length - 1] == '/'; length--)
        part[length - 1] = '\0';
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        rc = mkdir(part, 0700) != 0 && errno != EEXIST ? -errno : 0;
        *slash = '/';
        if (rc == -EROFS || rc == -EACCES || rc == -EPERM)
            rc = 0; // may be there all the same: the last step says what is really wrong
        if (rc != 0)
            return rc;
    }
    if (mkdir(part, 0700) != 0 && errno != EEXIST)
        return -errno;
    // No link: who made it could point it elsewhere later. In a folder that others may write to,
    // they could put their socket in place of ours.
    if (lstat(part, &about) != 0)
        return -errno;
    if (!S_ISDIR(about.st_mode))
        return -ENOTDIR;
    return about.st_uid == geteuid() && (about.st_mode & (S_IWGRP | S_IWOTH)) == 0 ? 0 : -EACCES;
}

int os_ipc_address(char out[OS_PATH_MAX], const char *runtime_dir, const char *name)
{
    if (strlen(runtime_dir) + 1 + strlen(name) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return -ENAMETOOLONG;
    return path_format(out, "ipc://%s/%s", runtime_dir, name);
}

int os_lock(const char *runtime_dir, const char *name, uint64_t *out_holder)
{
    char path[OS_PATH_MAX];
    char text[32] = "";
    int rc = path_format(path, "%s/%s.lock", runtime_dir, name);
    int descriptor, length;

    if (rc != 0)
        return rc;
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0)
        return -errno;
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
        close(descriptor);
        if (rc == -EBUSY)
            *out_holder = file_text(path, text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
        return rc;
    }
    // The descriptor stays open: the lock is the process's. The number is only for people to read.
    length = snprintf(text, sizeof(text), "%lu\n", (unsigned long)getpid());
    rc = ftruncate(descriptor, 0) != 0 ? -errno : write_all(descriptor, text, (size_t)length);
    if (rc != 0)
        close(descriptor);
    return rc;
}

const char *os_environment(const char *name)
{
    return getenv(name);
}

void os_write_stdout(const char *text, size_t size)
{
    (void)write_all(STDOUT_FILENO, text, size);
}

int os_log_open(const char *path)
{
    int descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

    return descriptor < 0 ? -errno : descriptor;
}

int os_log_write(int descriptor, const char *text, size_t size)
{
    return write_all(descriptor, text, size);
}

void os_log_close(int descriptor)
{
    if (descriptor != OS_LOG_STDERR)
        close(descriptor);
}
