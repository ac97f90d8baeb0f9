/* Another root of the file system for what programs look at to find a GPU: below VPLSIM_ROOT. `run --root` preloads it. A file that
 * nobody may read or write there cannot be opened by root either, as device nodes in a container. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const ROOTED[] = {"/dev/dri", "/sys/class/drm", "/sys/bus/pci/devices", "/etc/group", "/.dockerenv", "/run/.containerenv"};

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static const char *moved(const char *path, char *place, size_t size) {
    const char *root = getenv("VPLSIM_ROOT");
    for (size_t i = 0; root && path && i < sizeof ROOTED / sizeof *ROOTED; i++) {
        size_t length = strlen(ROOTED[i]);
        if (strncmp(path, ROOTED[i], length) == 0 && (path[length] == 0 || path[length] == '/')) {
            snprintf(place, size, "%s%s", root, path);
            return place;
        }
    }
    return path;
}

static int denied(const char *path, const char *asked) {
    struct stat about;
    if (path == asked || NEXT(stat)(path, &about) != 0 || (about.st_mode & 0666) != 0) return 0;
    errno = EACCES;
    return 1;
}

#define MODE(flags, last) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { va_list list; va_start(list, last); mode = va_arg(list, mode_t); va_end(list); }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        char place[4096]; \
        MODE(flags, flags) \
        const char *there = moved(path, place, sizeof place); \
        return denied(there, path) ? -1 : NEXT(name)(there, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        char place[4096]; \
        MODE(flags, flags) \
        const char *there = moved(path, place, sizeof place); \
        return denied(there, path) ? -1 : NEXT(name)(folder, there, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) \
    FILE *name(const char *path, const char *how) { \
        char place[4096]; \
        const char *there = moved(path, place, sizeof place); \
        return denied(there, path) ? NULL : NEXT(name)(there, how); \
    }
FOPEN(fopen)
FOPEN(fopen64)

DIR *opendir(const char *path) { char place[4096]; return NEXT(opendir)(moved(path, place, sizeof place)); }
int access(const char *path, int mode) {
    char place[4096];
    const char *there = moved(path, place, sizeof place);
    return mode != F_OK && denied(there, path) ? -1 : NEXT(access)(there, mode);
}
int stat(const char *path, struct stat *about) { char place[4096]; return NEXT(stat)(moved(path, place, sizeof place), about); }
int stat64(const char *path, struct stat64 *about) { char place[4096]; return NEXT(stat64)(moved(path, place, sizeof place), about); }
int lstat(const char *path, struct stat *about) { char place[4096]; return NEXT(lstat)(moved(path, place, sizeof place), about); }
int statx(int folder, const char *path, int flags, unsigned mask, struct statx *about) {
    char place[4096];
    return NEXT(statx)(folder, moved(path, place, sizeof place), flags, mask, about);
}
