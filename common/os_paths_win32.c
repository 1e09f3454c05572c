// The part of os.h that deals with folders, names and the lock.
#include <windows.h>
#include <aclapi.h>
#include <sddl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"
#include "error_win32.h"

enum {
    IPC_NAME_MAX = 240, // of the 256 that a pipe name may have, with \\.\pipe\ and a suffix
};

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

static bool is_separator(char c)
{
    return c == '/' || c == '\\';
}

static bool ends_with_exe(const char *name)
{
    size_t length = strlen(name);

    return length > 4 && _stricmp(name + length - 4, ".exe") == 0;
}

// FNV-1a over the bytes and an end mark.
static uint64_t hash_text(uint64_t hash, const char *text)
{
    do {
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
    } while (*text++ != '\0');
    return hash;
}

// The user that this process acts for, and who owns what it makes (for an administrator that may be
// the group). Two blocks to free; false when Windows does not say.
static bool token_users(TOKEN_USER **out_user, TOKEN_OWNER **out_owner)
{
    TOKEN_USER *user = calloc(1, SECURITY_MAX_SID_SIZE + sizeof(*user));
    TOKEN_OWNER *owner = calloc(1, SECURITY_MAX_SID_SIZE + sizeof(*owner));
    HANDLE token = NULL;
    DWORD size;
    bool is_known =
        user != NULL && owner != NULL &&
        OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token) &&
        GetTokenInformation(token, TokenUser, user, SECURITY_MAX_SID_SIZE + sizeof(*user), &size) &&
        GetTokenInformation(token, TokenOwner, owner, SECURITY_MAX_SID_SIZE + sizeof(*owner),
                            &size);

    if (token != NULL)
        CloseHandle(token);
    if (!is_known) {
        free(user);
        free(owner);
        return false;
    }
    *out_user = user;
    *out_owner = owner;
    return true;
}

// Makes the folder with an access list that lets in this user, administrators and the system.
static DWORD make_folder_for(const char *path, PSID user)
{
    SECURITY_ATTRIBUTES attributes = {.nLength = sizeof(attributes)};
    char text[256];
    char *sid = NULL;
    DWORD code = ERROR_SUCCESS;

    if (!ConvertSidToStringSidA(user, &sid))
        return GetLastError();
    snprintf(text, sizeof(text), "D:P(A;OICI;FA;;;%s)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", sid);
    LocalFree(sid);
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorA(
            text, SDDL_REVISION_1, &attributes.lpSecurityDescriptor, NULL))
        return GetLastError();
    if (!CreateDirectoryA(path, &attributes))
        code = GetLastError();
    LocalFree(attributes.lpSecurityDescriptor);
    return code;
}

// 0 when the folder is a plain one and belongs to one of the two.
static int check_folder(const char *path, PSID user, PSID owner)
{
    DWORD attributes = GetFileAttributesA(path);
    PSECURITY_DESCRIPTOR descriptor = NULL;
    PSID found = NULL;
    DWORD code;
    bool is_ours;

    if (attributes == INVALID_FILE_ATTRIBUTES)
        return error_from_windows(GetLastError());
    if ((attributes & FILE_ATTRIBUTE_DIRECTORY) == 0)
        return -ENOTDIR;
    if ((attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0)
        return -EACCES; // who made the link could point it elsewhere later
    code = GetNamedSecurityInfoA((char *)(uintptr_t)path, SE_FILE_OBJECT,
                                 OWNER_SECURITY_INFORMATION, &found, NULL, NULL, NULL, &descriptor);
    if (code != ERROR_SUCCESS)
        return error_from_windows(code);
    is_ours = EqualSid(found, user) || EqualSid(found, owner);
    LocalFree(descriptor);
    return is_ours ? 0 : -EACCES;
}

// Makes what is missing above the last part of the path, with the rights that folders have there.
static int make_parents(char path[OS_PATH_MAX])
{
    for (char *at = path; *at != '\0'; at++) {
        char separator = *at;
        DWORD code = ERROR_SUCCESS;

        if (!is_separator(separator) || at == path || at[-1] == ':' || is_separator(at[-1]))
            continue;
        *at = '\0';
        if (GetFileAttributesA(path) == INVALID_FILE_ATTRIBUTES && !CreateDirectoryA(path, NULL))
            code = GetLastError();
        *at = separator;
        // A drive or a share above may refuse: the last step says what is really wrong.
        if (code != ERROR_SUCCESS && code != ERROR_ALREADY_EXISTS && code != ERROR_ACCESS_DENIED)
            return error_from_windows(code);
    }
    return 0;
}

int os_program_folder(char out[OS_PATH_MAX])
{
    char path[OS_PATH_MAX];
    DWORD length = GetModuleFileNameA(NULL, path, sizeof(path));

    if (length == 0)
        return error_from_windows(GetLastError());
    if (length >= sizeof(path))
        return -ENAMETOOLONG;
    while (length > 0 && !is_separator(path[length - 1]))
        length--;
    path[length > 0 ? length - 1 : 0] = '\0';
    return path_format(out, "%s", path);
}

int os_find_program(const char *name, char out[OS_PATH_MAX])
{
    const char *suffix = ends_with_exe(name) ? "" : ".exe";
    char folder[OS_PATH_MAX];
    DWORD attributes;
    int rc;

    if (strpbrk(name, "/\\:") != NULL) {
        rc = path_format(out, "%s%s", name, suffix);
    } else {
        rc = os_program_folder(folder);
        if (rc == 0)
            rc = path_format(out, "%s\\%s%s", folder, name, suffix);
    }
    if (rc != 0)
        return rc;
    attributes = GetFileAttributesA(out);
    if (*name == '\0' || attributes == INVALID_FILE_ATTRIBUTES)
        return -ENOENT;
    return (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0 ? 0 : -EACCES;
}

int os_runtime_dir_default(char out[OS_PATH_MAX])
{
    const char *base = os_environment("LOCALAPPDATA");
    char folder[OS_PATH_MAX];

    if (base == NULL || *base == '\0') {
        DWORD length = GetTempPathA(sizeof(folder), folder); // ends with a backslash

        if (length == 0 || length >= sizeof(folder))
            return -ENAMETOOLONG;
        folder[length - 1] = '\0';
        base = folder;
    }
    return path_format(out, "%s\\Troupe\\run", base);
}

int os_make_private_folder(const char *path)
{
    char part[OS_PATH_MAX];
    TOKEN_USER *user;
    TOKEN_OWNER *owner;
    DWORD code;
    int rc = path_format(part, "%s", path);

    if (rc != 0)
        return rc;
    if (*path == '\0')
        return -ENOENT;
    for (size_t end = strlen(part); end > 1 && is_separator(part[end - 1]); end--)
        part[end - 1] = '\0';
    rc = make_parents(part);
    if (rc != 0)
        return rc;
    if (!token_users(&user, &owner))
        return -EACCES;
    code = make_folder_for(part, user->User.Sid);
    if (code == ERROR_SUCCESS || code == ERROR_ALREADY_EXISTS)
        rc = check_folder(part, user->User.Sid, owner->Owner);
    else
        rc = error_from_windows(code);
    free(user);
    free(owner);
    return rc;
}

int os_ipc_address(char out[OS_PATH_MAX], const char *runtime_dir, const char *name)
{
    char folder[OS_PATH_MAX];
    char plain[IPC_NAME_MAX];
    DWORD length = GetFullPathNameA(runtime_dir, sizeof(folder), folder, NULL);
    uint64_t hash = 0xcbf29ce484222325u;
    int size;

    if (length == 0 || length >= sizeof(folder))
        return -ENAMETOOLONG;
    // Names of pipes know no folders and are one for the whole machine, so the folder becomes a
    // hash. Case and kind of separator make no other folder.
    for (char *at = folder; *at != '\0'; at++)
        *at = *at == '/' ? '\\' : (char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at);
    hash = hash_text(hash_text(hash, folder), name);
    size = snprintf(plain, sizeof(plain), "troupe-%016llx-%s", (unsigned long long)hash, name);
    if (size < 0 || (size_t)size >= sizeof(plain))
        return -ENAMETOOLONG;
    for (char *at = plain; *at != '\0'; at++) {
        if (is_separator(*at) || *at == ':')
            *at = '_';
    }
    return path_format(out, "ipc://%s", plain);
}

int os_lock(const char *runtime_dir, const char *name, uint64_t *out_holder)
{
    char path[OS_PATH_MAX];
    char text[32] = "";
    DWORD size = 0;
    HANDLE file;
    int rc = path_format(path, "%s\\%s.lock", runtime_dir, name);

    if (rc != 0)
        return rc;
    // Others may read it while we have it, and nothing else. It stays when we end, as on Linux.
    // Unlike a mutex it belongs to the process and not to a thread, it holds across login sessions,
    // and all spellings of the folder mean the same.
    file = CreateFileA(path, GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_ALWAYS,
                       FILE_ATTRIBUTE_NORMAL, NULL);
    if (file != INVALID_HANDLE_VALUE) {
        int length = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)os_process_id());

        (void)WriteFile(file, text, (DWORD)length, &size, NULL);
        return 0; // open until the process ends
    }
    if (GetLastError() != ERROR_SHARING_VIOLATION)
        return error_from_windows(GetLastError());
    file = CreateFileA(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                       NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file != INVALID_HANDLE_VALUE) {
        (void)ReadFile(file, text, sizeof(text) - 1, &size, NULL);
        text[size] = '\0';
        CloseHandle(file);
    }
    *out_holder = strtoull(text, NULL, 10);
    return -EBUSY;
}
