#include "process_launch_win32.h"

#include <windows.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "buffer.h"
#include "command_line.h"
#include "error_win32.h"

enum { HANDLE_COUNT = 3, ATTRIBUTE_COUNT = 2 };

// All that CreateProcess wants, in its own forms.
struct request {
    wchar_t *program;
    wchar_t *command_line;
    wchar_t *environment;
    HANDLE input;
    HANDLE error;
    HANDLE inherited[HANDLE_COUNT];
    HANDLE job;
    LPPROC_THREAD_ATTRIBUTE_LIST attributes;
};

// UTF-8 to a new wide string; NULL when it is not UTF-8 or memory is out.
static wchar_t *widen(const char *text)
{
    int size = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *wide = size > 0 ? calloc((size_t)size, sizeof(*wide)) : NULL;

    if (wide != NULL)
        MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, size);
    return wide;
}

static wchar_t *make_command_line(const char *const *arguments)
{
    struct buffer line = {0};
    wchar_t *wide = NULL;
    int rc = 0;

    for (size_t i = 0; rc == 0 && arguments[i] != NULL; i++)
        rc = command_line_append(&line, arguments[i]);
    if (rc == 0)
        rc = buffer_append(&line, "", 1);
    if (rc == 0)
        wide = widen((const char *)buffer_data(&line));
    buffer_free(&line);
    return wide;
}

// Length of the name in "NAME=value"; names such as "=C:" begin with the sign.
static int name_length(const wchar_t *entry)
{
    const wchar_t *end = *entry != L'\0' ? wcschr(entry + 1, L'=') : NULL;

    return end != NULL ? (int)(end - entry) : (int)wcslen(entry);
}

static int compare_names(const void *a, const void *b)
{
    const wchar_t *left = *(wchar_t *const *)a;
    const wchar_t *right = *(wchar_t *const *)b;

    return CompareStringOrdinal(left, name_length(left), right, name_length(right), TRUE) -
           CSTR_EQUAL;
}

// The block that CreateProcess wants: entries sorted by name, each with its end, and an empty one.
static wchar_t *join_entries(wchar_t **entries, size_t count)
{
    size_t size = 2;
    wchar_t *block;
    wchar_t *to;

    qsort(entries, count, sizeof(*entries), compare_names);
    for (size_t i = 0; i < count; i++)
        size += wcslen(entries[i]) + 1;
    block = calloc(size, sizeof(*block));
    to = block;
    for (size_t i = 0; block != NULL && i < count; i++) {
        size_t length = wcslen(entries[i]) + 1;

        memcpy(to, entries[i], length * sizeof(*to));
        to += length;
    }
    return block;
}

static bool has_name(wchar_t *const *entries, size_t count, wchar_t *entry)
{
    for (size_t i = 0; i < count; i++) {
        if (compare_names(&entries[i], &entry) == 0)
            return true;
    }
    return false;
}

// The parent's entries and `own`, of which own wins. NULL when out of memory.
static wchar_t *merge_environment(wchar_t *parents, wchar_t *const *own, size_t own_count)
{
    size_t count = own_count;
    wchar_t **entries;
    wchar_t *block;

    for (wchar_t *at = parents; *at != L'\0'; at += wcslen(at) + 1)
        count++;
    entries = calloc(count + 1, sizeof(*entries));
    if (entries == NULL)
        return NULL;
    for (count = 0; count < own_count; count++)
        entries[count] = own[count];
    for (wchar_t *at = parents; *at != L'\0'; at += wcslen(at) + 1) {
        if (!has_name(own, own_count, at))
            entries[count++] = at;
    }
    block = join_entries(entries, count);
    free(entries);
    return block;
}

static wchar_t *make_environment(const char *const *own)
{
    wchar_t *parents = GetEnvironmentStringsW();
    wchar_t *block = NULL;
    wchar_t **wide;
    size_t count = 0;
    size_t i = 0;

    while (own[count] != NULL)
        count++;
    wide = calloc(count + 1, sizeof(*wide));
    while (wide != NULL && i < count && (wide[i] = widen(own[i])) != NULL)
        i++;
    if (parents != NULL && wide != NULL && i == count)
        block = merge_environment(parents, wide, count);
    for (i = 0; wide != NULL && i < count; i++)
        free(wide[i]);
    free(wide);
    if (parents != NULL)
        FreeEnvironmentStringsW(parents);
    return block;
}

static HANDLE open_nothing(void)
{
    SECURITY_ATTRIBUTES inheritable = {.nLength = sizeof(inheritable), .bInheritHandle = TRUE};

    return CreateFileW(L"NUL", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                       &inheritable, OPEN_EXISTING, 0, NULL);
}

// Our standard error as an inheritable handle; nothing when there is none (a service).
static HANDLE open_error(void)
{
    HANDLE self = GetCurrentProcess();
    HANDLE error = GetStdHandle(STD_ERROR_HANDLE);
    HANDLE copy;

    if (error != NULL && error != INVALID_HANDLE_VALUE &&
        DuplicateHandle(self, error, self, &copy, 0, TRUE, DUPLICATE_SAME_ACCESS))
        return copy;
    return open_nothing();
}

// The handles that go to the child, and the job that it is born in.
static int make_attributes(struct request *request)
{
    SIZE_T size = 0;

    (void)InitializeProcThreadAttributeList(NULL, ATTRIBUTE_COUNT, 0, &size);
    request->attributes = calloc(1, size);
    if (request->attributes == NULL)
        return -ENOMEM;
    if (!InitializeProcThreadAttributeList(request->attributes, ATTRIBUTE_COUNT, 0, &size) ||
        !UpdateProcThreadAttribute(request->attributes, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST,
                                   request->inherited, sizeof(request->inherited), NULL, NULL) ||
        !UpdateProcThreadAttribute(request->attributes, 0, PROC_THREAD_ATTRIBUTE_JOB_LIST,
                                   &request->job, sizeof(request->job), NULL, NULL))
        return error_from_windows(GetLastError());
    return 0;
}

static int request_init(struct request *request, const struct process_launch *launch)
{
    *request = (struct request){
        .program = widen(launch->arguments[0]),
        .command_line = make_command_line(launch->arguments),
        .environment = make_environment(launch->environment),
        .input = open_nothing(),
        .error = open_error(),
        .job = launch->job,
    };
    if (request->input == INVALID_HANDLE_VALUE || request->error == INVALID_HANDLE_VALUE)
        return -EMFILE;
    if (request->program == NULL || request->command_line == NULL || request->environment == NULL)
        return -ENOMEM;
    request->inherited[0] = request->input;
    request->inherited[1] = launch->output;
    request->inherited[2] = request->error;
    return make_attributes(request);
}

static void request_fini(struct request *request)
{
    free(request->program);
    free(request->command_line);
    free(request->environment);
    free(request->attributes); // holds nothing else: DeleteProcThreadAttributeList's page
    if (request->input != INVALID_HANDLE_VALUE)
        CloseHandle(request->input);
    if (request->error != INVALID_HANDLE_VALUE)
        CloseHandle(request->error);
}

static int create(struct request *request, HANDLE output, PROCESS_INFORMATION *out_information)
{
    // A group of its own: Ctrl-C at our console is for us. Without a console of ours the child
    // would get a new one, with a window.
    DWORD flags = EXTENDED_STARTUPINFO_PRESENT | CREATE_UNICODE_ENVIRONMENT |
                  CREATE_NEW_PROCESS_GROUP | (GetConsoleCP() == 0 ? DETACHED_PROCESS : 0);
    STARTUPINFOEXW startup = {
        .StartupInfo = {.cb = sizeof(startup),
                        .dwFlags = STARTF_USESTDHANDLES,
                        .hStdInput = request->input,
                        .hStdOutput = output,
                        .hStdError = request->error},
        .lpAttributeList = request->attributes,
    };

    if (!CreateProcessW(request->program, request->command_line, NULL, NULL, TRUE, flags,
                        request->environment, NULL, &startup.StartupInfo, out_information))
        return error_from_windows(GetLastError());
    return 0;
}

int process_launch(const struct process_launch *launch, void **out_process, uint32_t *out_id)
{
    PROCESS_INFORMATION information;
    struct request request;
    int rc = request_init(&request, launch);

    if (rc == 0)
        rc = create(&request, launch->output, &information);
    request_fini(&request);
    if (rc != 0)
        return rc;
    CloseHandle(information.hThread);
    *out_process = information.hProcess;
    *out_id = information.dwProcessId;
    return 0;
}
