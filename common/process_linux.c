#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os.h"
#include "process.h"

extern char **environ; // POSIX names it and has no header for it

enum { CHILD_FAILED = 127 }; // nobody sees it: the parent learns why by the failure pipe

// Two threads a child, since pidfd_open() came with Linux 5.3 only: one waits for the child's end,
// the other reads its lines and calls back. The child stays a zombie until process_destroy(), so
// that its number, and its group's, cannot become another's while somebody may still send signals.
struct process {
    pid_t pid;
    void (*line)(void *owner, const char *text);
    void (*exited)(void *owner, const struct process_exit *how);
    void *owner;
    struct os_thread waiter;
    struct os_thread reader;
    int output;    // read end of the child's standard output
    int ended[2];  // pipe: the waiter tells the reader
    siginfo_t how; // the waiter's until it has told
    char text[PROCESS_LINE_MAX];
    size_t size;
};

// What the child needs between fork and exec, made before: nothing may be allocated there.
struct launch {
    char **arguments;
    char **environment;
    pid_t parent;
    int output;     // write end of the pipe
    int failure[2]; // pipe: errno of what failed before the program ran; empty when it runs
};

static void close_pair(int pair[2])
{
    if (pair[0] >= 0)
        close(pair[0]);
    if (pair[1] >= 0)
        close(pair[1]);
    pair[0] = -1;
    pair[1] = -1;
}

static size_t list_count(const char *const *list)
{
    size_t count = 0;

    while (list != NULL && list[count] != NULL)
        count++;
    return count;
}

// True when `entry` ("NAME=value") has the name of one in `list`.
static bool has_name(const char *const *list, size_t count, const char *entry)
{
    size_t length = strcspn(entry, "=") + 1;

    for (size_t i = 0; i < count; i++) {
        if (strncmp(list[i], entry, length) == 0)
            return true;
    }
    return false;
}

// The parent's environment, without what `own` sets, and `own`. Entries are borrowed: they are
// needed until exec only. NULL when out of memory.
static char **environment_create(const char *const *own)
{
    size_t own_count = list_count(own);
    size_t inherited = list_count((const char *const *)environ);
    char **all = calloc(own_count + inherited + 1, sizeof(*all));
    size_t count = 0;

    if (all == NULL)
        return NULL;
    for (size_t i = 0; i < inherited; i++) {
        if (!has_name(own, own_count, environ[i]))
            all[count++] = environ[i];
    }
    for (size_t i = 0; i < own_count; i++)
        all[count++] = (char *)(uintptr_t)own[i];
    return all;
}

static bool child_descriptor(int from, int to)
{
    if (from == to)
        return fcntl(from, F_SETFD, 0) == 0;
    return dup2(from, to) >= 0;
}

static bool child_prepare(const struct launch *launch)
{
    int empty = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (empty < 0 || !child_descriptor(launch->output, STDOUT_FILENO) ||
        !child_descriptor(empty, STDIN_FILENO))
        return false;
    if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return false;
    if (getppid() != launch->parent)
        _exit(CHILD_FAILED); // it died before the line above: no signal will come
    return true;
}

// Between fork and exec: async-signal-safe calls only, since other threads may hold locks.
static _Noreturn void child_run(const struct launch *launch)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;
    int error;

    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &standard, NULL); // fails for SIGKILL, SIGSTOP and libc's own
    sigemptyset(&none);
    if (child_prepare(launch) && sigprocmask(SIG_SETMASK, &none, NULL) == 0)
        execve(launch->arguments[0], launch->arguments, launch->environment);
    error = errno;
    if (write(launch->failure[1], &error, sizeof(error)) < 0)
        _exit(CHILD_FAILED);
    _exit(CHILD_FAILED);
}

// Why the child could not run its program: 0 when it does, or a negative errno.
static int child_failure(int descriptor)
{
    int error = 0;
    ssize_t got;

    do {
        got = read(descriptor, &error, sizeof(error));
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof(error) ? -error : 0;
}

static void child_reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static void emit(struct process *process)
{
    process->text[process->size] = '\0';
    process->size = 0;
    process->line(process->owner, process->text);
}

static void feed(struct process *process, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n') {
            if (process->size > 0 && process->text[process->size - 1] == '\r')
                process->size--;
            emit(process);
            continue;
        }
        if (process->size == sizeof(process->text) - 1)
            emit(process);
        process->text[process->size++] = data[i] == '\0' ? '?' : data[i];
    }
}

// Reads once, `most` bytes at most. Bytes read; 0 at the end.
static size_t read_some(struct process *process, size_t most)
{
    char data[4096];
    ssize_t got;

    do {
        got = read(process->output, data, most < sizeof(data) ? most : sizeof(data));
    } while (got < 0 && errno == EINTR);
    if (got <= 0)
        return 0;
    feed(process, data, (size_t)got);
    return (size_t)got;
}

// The child has ended: what it wrote is in the pipe. What comes after that is not its own.
static void read_rest(struct process *process)
{
    int waiting = 0;

    if (ioctl(process->output, FIONREAD, &waiting) != 0)
        return;
    while (waiting > 0) {
        size_t got = read_some(process, (size_t)waiting);

        if (got == 0)
            return;
        waiting -= (int)got;
    }
}

static void read_lines(struct process *process)
{
    struct pollfd ready[2] = {{.fd = process->ended[0], .events = POLLIN},
                              {.fd = process->output, .events = POLLIN}};

    for (;;) {
        if (poll(ready, ARRAY_COUNT(ready), -1) < 0)
            continue; // EINTR; nothing else can be wrong with two pipes of ours
        if (ready[0].revents != 0)
            break;
        if (ready[1].revents != 0 && read_some(process, SIZE_MAX) == 0)
            ready[1].fd = -1; // closed early; poll() leaves it out from now on
    }
    if (ready[1].fd >= 0)
        read_rest(process);
    if (process->size > 0)
        emit(process);
}

static const char *signal_text(int number)
{
    static const struct {
        int number;
        const char *text;
    } table[] = {
        {SIGHUP, "hangup"},          {SIGINT, "interrupt"},
        {SIGQUIT, "quit"},           {SIGILL, "illegal instruction"},
        {SIGTRAP, "trap"},           {SIGABRT, "aborted"},
        {SIGBUS, "bus error"},       {SIGFPE, "arithmetic error"},
        {SIGKILL, "killed"},         {SIGSEGV, "segmentation fault"},
        {SIGPIPE, "broken pipe"},    {SIGALRM, "alarm"},
        {SIGTERM, "terminated"},     {SIGXCPU, "CPU time limit"},
        {SIGSYS, "bad system call"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (table[i].number == number)
            return table[i].text;
    }
    return "?";
}

static struct process_exit exit_describe(const siginfo_t *how)
{
    struct process_exit result = {.code = how->si_status};

    if (how->si_code == CLD_EXITED) {
        snprintf(result.text, sizeof(result.text), "exit code %d", result.code);
    } else {
        result.signal = how->si_status;
        result.code = 128 + how->si_status;
        snprintf(result.text, sizeof(result.text), "signal %d (%s)", result.signal,
                 signal_text(result.signal));
    }
    return result;
}

static void waiter_run(void *argument)
{
    struct process *process = argument;
    int rc;

    do {
        rc = waitid(P_PID, (id_t)process->pid, &process->how, WEXITED | WNOWAIT);
    } while (rc != 0 && errno == EINTR);
    CHECK(rc == 0);
    // What it left behind goes with it.
    (void)kill(-process->pid, SIGKILL);
    CHECK(write(process->ended[1], "", 1) == 1);
}

static void reader_run(void *argument)
{
    struct process *process = argument;
    struct process_exit how;

    read_lines(process);
    os_thread_join(&process->waiter);
    how = exit_describe(&process->how);
    process->exited(process->owner, &how);
}

static int threads_start(struct process *process)
{
    int rc = os_thread_start(&process->waiter, waiter_run, process);

    if (rc != 0)
        return rc;
    rc = os_thread_start(&process->reader, reader_run, process);
    if (rc != 0) {
        (void)kill(-process->pid, SIGKILL);
        os_thread_join(&process->waiter);
    }
    return rc;
}

// Forks and waits until the program runs. All signals are blocked meanwhile, so that none of our
// handlers runs in the child; the two threads inherit that. 0 or a negative errno.
static int child_start(struct process *process, struct launch *launch)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    launch->parent = getpid();
    process->pid = fork();
    if (process->pid == 0)
        child_run(launch);
    rc = process->pid < 0 ? -errno : 0;
    close(launch->failure[1]);
    close(launch->output);
    launch->failure[1] = -1;
    launch->output = -1;
    if (rc == 0) {
        (void)setpgid(process->pid, process->pid); // the child does it too: whoever comes first
        rc = child_failure(launch->failure[0]);
        if (rc == 0)
            rc = threads_start(process);
        if (rc != 0) {
            (void)kill(process->pid, SIGKILL);
            child_reap(process->pid);
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static void process_free(struct process *process)
{
    close_pair(process->ended);
    if (process->output >= 0)
        close(process->output);
    free(process);
}

static int pipes_open(struct process *process, struct launch *launch)
{
    int output[2];

    if (pipe2(output, O_CLOEXEC) != 0)
        return -errno;
    process->output = output[0];
    launch->output = output[1];
    if (pipe2(launch->failure, O_CLOEXEC) != 0)
        return -errno;
    return pipe2(process->ended, O_CLOEXEC) != 0 ? -errno : 0;
}

int process_start(struct process **out_process, const struct process_config *config)
{
    struct launch launch = {.output = -1, .failure = {-1, -1}};
    struct process *process = calloc(1, sizeof(*process));
    int rc = -ENOMEM;

    if (process == NULL)
        return rc;
    process->line = config->line;
    process->exited = config->exited;
    process->owner = config->owner;
    process->output = -1;
    process->ended[0] = -1;
    process->ended[1] = -1;
    launch.arguments = (char **)(uintptr_t)config->arguments; // execve() does not write to them
    launch.environment = environment_create(config->environment);
    if (launch.environment != NULL)
        rc = pipes_open(process, &launch);
    if (rc == 0)
        rc = child_start(process, &launch);
    if (launch.output >= 0)
        close(launch.output);
    close_pair(launch.failure);
    free(launch.environment);
    if (rc != 0) {
        process_free(process);
        return rc;
    }
    *out_process = process;
    return 0;
}

void process_stop(struct process *process)
{
    (void)kill(process->pid, SIGTERM);
}

void process_kill(struct process *process)
{
    (void)kill(-process->pid, SIGKILL);
}

uint64_t process_id(const struct process *process)
{
    return (uint64_t)process->pid;
}

void process_destroy(struct process *process)
{
    if (process == NULL)
        return;
    os_thread_join(&process->reader);
    child_reap(process->pid);
    process_free(process);
}
