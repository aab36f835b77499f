/* A disk that fails as disks do, for one process: preloaded, it stands between the program and libc for every path below
 * one folder. It writes down each change of that folder with its data and its order, so that a test can work out what a
 * disk may hold after the power went; it runs out of space, turns read-only, fails or feigns a sync, and shifts the clock
 * when the control file says so. Writes through a memory map are not seen; SQLite's `-shm`, the only one, is left out. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* What the test may turn while the program runs; the layout is repeated in disk.rs. */
struct control {
    int64_t budget_bytes; /* below zero: no end */
    int64_t clock_offset_ns;
    int32_t read_only;
    int32_t sync_fails; /* so many syncs fail from now on */
    int32_t sync_feigned;
    int32_t sync_us; /* how long a sync takes */
};

/* One change in the journal, followed by its path, its second path and its data; repeated in journal.rs. */
enum kind { MAKE_FILE = 1, MAKE_DIR, WRITE, CUT, RENAME, LINK, REMOVE, SYNC_BEGIN, SYNC_END, SYNC_FAILED, ROOT };
struct record {
    uint32_t kind, path_bytes, other_bytes, data_bytes;
    uint64_t file, at;
};

#define FILES_MAX (1u << 17)
#define GONE 1

static struct control *control;
static int journal = -1;
static char root[PATH_MAX];
static size_t root_bytes;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
/* Inodes of files and folders below the root; open addressing. */
static uint64_t known[FILES_MAX];
static uint64_t tickets;

static void die(const char *why) {
    dprintf(2, "disk shim: %s: %s\n", why, strerror(errno));
    abort();
}

/* The lock of the journal's file is shared with the test, which kills this process only between two changes. */
static void lock(void) {
    pthread_mutex_lock(&turn);
    while (flock(journal, LOCK_EX) != 0)
        if (errno != EINTR) die("lock the journal");
}

static void unlock(void) {
    int kept = errno;
    flock(journal, LOCK_UN);
    pthread_mutex_unlock(&turn);
    errno = kept;
}

static void note(enum kind kind, uint64_t file, uint64_t at, const char *path, const char *other, const void *data,
                 size_t bytes) {
    struct record record = {kind, path ? strlen(path) : 0, other ? strlen(other) : 0, bytes, file, at};
    struct iovec parts[4] = {{&record, sizeof record},
                             {(void *)path, record.path_bytes},
                             {(void *)other, record.other_bytes},
                             {(void *)data, bytes}};
    size_t whole = sizeof record + record.path_bytes + record.other_bytes + bytes;
    int kept = errno;
    if (syscall(SYS_writev, journal, parts, 4) != (long)whole) die("write the journal");
    errno = kept;
}

static uint64_t *slot(uint64_t file) {
    uint64_t *free_slot = NULL;
    for (uint32_t i = 0, at = (uint32_t)(file * 2654435761u) % FILES_MAX; i < FILES_MAX; i++, at = (at + 1) % FILES_MAX) {
        if (known[at] == file) return &known[at];
        if (known[at] == GONE && !free_slot) free_slot = &known[at];
        if (known[at] == 0) return free_slot ? free_slot : &known[at];
    }
    die("more files than the shim can know");
    return NULL;
}

static int is_known(uint64_t file) { return *slot(file) == file; }
static void know(uint64_t file) { *slot(file) = file; }
static void forget(uint64_t file) {
    uint64_t *at = slot(file);
    if (*at == file) *at = GONE;
}

/* The path as the journal names it, relative to the root; NULL if it lies elsewhere. `out` has PATH_MAX bytes. */
static const char *inside(int dir, const char *path, char *out) {
    if (!control || !path) return NULL;
    char whole[PATH_MAX];
    if (path[0] == '/') {
        if (strncmp(path, root, root_bytes) != 0) return NULL;
        snprintf(whole, sizeof whole, "%s", path);
    } else if (dir == AT_FDCWD) {
        if (!getcwd(whole, sizeof whole)) return NULL;
        size_t bytes = strlen(whole);
        snprintf(whole + bytes, sizeof whole - bytes, "/%s", path);
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        ssize_t bytes = readlink(link, whole, sizeof whole - 1);
        if (bytes < 0) return NULL;
        snprintf(whole + bytes, sizeof whole - bytes, "/%s", path);
    }
    if (strncmp(whole, root, root_bytes) != 0 || (whole[root_bytes] != '/' && whole[root_bytes] != 0)) return NULL;
    size_t at = 0;
    for (const char *from = whole + root_bytes; *from; from++) {
        if (*from == '/' && (at == 0 || from[1] == '/' || from[1] == 0)) continue;
        out[at++] = *from;
    }
    out[at] = 0;
    if (at >= 4 && strcmp(out + at - 4, "-shm") == 0) return NULL;
    return out;
}

/* The inode behind a descriptor that we follow; 0 for any other. */
static uint64_t followed(int fd, struct stat *stat) {
    if (!control || fd < 0 || fstat(fd, stat) != 0) return 0;
    if (!S_ISREG(stat->st_mode) && !S_ISDIR(stat->st_mode)) return 0;
    pthread_mutex_lock(&turn);
    int yes = is_known(stat->st_ino);
    pthread_mutex_unlock(&turn);
    return yes ? stat->st_ino : 0;
}

static int fails_with(int error) {
    errno = error;
    return -1;
}

/* What every change of names meets first. */
static int refused(int takes_space) {
    if (__atomic_load_n(&control->read_only, __ATOMIC_SEQ_CST)) return fails_with(EROFS);
    if (takes_space && __atomic_load_n(&control->budget_bytes, __ATOMIC_SEQ_CST) == 0) return fails_with(ENOSPC);
    return 0;
}

/* Under a shifted clock a file's time of change is shifted too. */
static void touch(int fd) {
    int64_t offset_ns = control->clock_offset_ns;
    if (offset_ns == 0) return;
    struct timespec now, times[2];
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    int64_t at_ns = now.tv_sec * 1000000000LL + now.tv_nsec + offset_ns;
    times[0] = times[1] = (struct timespec){at_ns / 1000000000LL, at_ns % 1000000000LL};
    syscall(SYS_utimensat, fd, NULL, times, 0);
}

static int open_file(int dir, const char *path, int flags, mode_t mode) {
    char name[PATH_MAX];
    if (!inside(dir, path, name)) return syscall(SYS_openat, dir, path, flags, mode);
    if ((flags & O_TMPFILE) == O_TMPFILE) return fails_with(EOPNOTSUPP);
    lock();
    struct stat stat;
    int existed = syscall(SYS_newfstatat, dir, path, &stat, AT_SYMLINK_NOFOLLOW) == 0;
    int makes = (flags & O_CREAT) && !existed;
    int changes = makes || (flags & O_TRUNC) || (flags & O_ACCMODE) != O_RDONLY;
    int fd = -1;
    if (!changes || refused(makes) == 0) fd = syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0 && fstat(fd, &stat) == 0 && (S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode))) {
        know(stat.st_ino);
        if (makes) {
            touch(fd);
            note(MAKE_FILE, stat.st_ino, 0, name, NULL, NULL, 0);
        } else if (flags & O_TRUNC) {
            touch(fd);
            note(CUT, stat.st_ino, 0, NULL, NULL, NULL, 0);
        }
    }
    unlock();
    return fd;
}

static int sync_file(int fd, long number) {
    struct stat stat;
    uint64_t file = followed(fd, &stat);
    if (!file) return syscall(number, fd);
    lock();
    if (refused(0) != 0) {
        unlock();
        return -1;
    }
    uint64_t ticket = ((uint64_t)getpid() << 32) | ++tickets;
    note(SYNC_BEGIN, file, ticket, NULL, NULL, NULL, 0);
    int fails = control->sync_fails > 0;
    if (fails) control->sync_fails--;
    unlock();
    if (control->sync_us > 0) usleep(control->sync_us);
    lock();
    /* The kernel need not be asked: what counts is what the journal says. */
    if (fails) note(SYNC_FAILED, file, ticket, NULL, NULL, NULL, 0);
    else if (!control->sync_feigned) note(SYNC_END, file, ticket, NULL, NULL, NULL, 0);
    unlock();
    return fails ? fails_with(EIO) : 0;
}

static ssize_t put(int fd, const void *data, size_t bytes, off_t at, int placed) {
    struct stat stat;
    uint64_t file = followed(fd, &stat);
    if (!file || bytes == 0) {
        if (placed) return syscall(SYS_pwrite64, fd, data, bytes, at);
        return syscall(SYS_write, fd, data, bytes);
    }
    lock();
    int flags = fcntl(fd, F_GETFL);
    int64_t left = control->budget_bytes;
    if (refused(1) != 0) {
        unlock();
        return -1;
    }
    if (left > 0 && (int64_t)bytes > left) bytes = left;
    if (flags & O_APPEND) at = fstat(fd, &stat) == 0 ? stat.st_size : 0;
    else if (!placed) at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = placed ? syscall(SYS_pwrite64, fd, data, bytes, at) : syscall(SYS_write, fd, data, bytes);
    if (done > 0) {
        if (left > 0) control->budget_bytes = left - done;
        touch(fd);
        note(WRITE, file, at, NULL, NULL, data, done);
    }
    unlock();
    if (done > 0 && (flags & O_DSYNC) && sync_file(fd, SYS_fdatasync) != 0) return -1;
    return done;
}

static ssize_t put_many(int fd, const struct iovec *parts, int count, off_t at, int placed) {
    struct stat stat;
    if (!followed(fd, &stat)) {
        if (placed) return syscall(SYS_pwritev, fd, parts, count, at, 0);
        return syscall(SYS_writev, fd, parts, count);
    }
    size_t bytes = 0;
    for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
    char *flat = malloc(bytes ? bytes : 1);
    if (!flat) die("gather a write");
    size_t end = 0;
    for (int i = 0; i < count; i++) {
        memcpy(flat + end, parts[i].iov_base, parts[i].iov_len);
        end += parts[i].iov_len;
    }
    ssize_t done = put(fd, flat, bytes, at, placed);
    int kept = errno;
    free(flat);
    errno = kept;
    return done;
}

static int resize(int fd, off_t bytes) {
    struct stat stat;
    uint64_t file = followed(fd, &stat);
    if (!file) return syscall(SYS_ftruncate, fd, bytes);
    lock();
    int done = refused(0);
    if (done == 0) done = syscall(SYS_ftruncate, fd, bytes);
    if (done == 0) {
        touch(fd);
        note(CUT, file, bytes, NULL, NULL, NULL, 0);
    }
    unlock();
    return done;
}

static int reserve(int fd, int mode, off_t at, off_t bytes) {
    struct stat stat;
    uint64_t file = followed(fd, &stat);
    if (!file) return syscall(SYS_fallocate, fd, mode, at, bytes);
    if (mode & ~FALLOC_FL_KEEP_SIZE) return fails_with(EOPNOTSUPP);
    lock();
    int done = refused(1);
    if (done == 0 && control->budget_bytes >= 0 && control->budget_bytes < bytes) done = fails_with(ENOSPC);
    if (done == 0) done = syscall(SYS_fallocate, fd, mode, at, bytes);
    if (done == 0 && mode == 0 && at + bytes > stat.st_size) note(CUT, file, at + bytes, NULL, NULL, NULL, 0);
    unlock();
    return done;
}

static int rename_file(int dir, const char *from, int other_dir, const char *to, unsigned flags) {
    char name[PATH_MAX], other[PATH_MAX];
    if (!inside(dir, from, name) || !inside(other_dir, to, other))
        return syscall(SYS_renameat2, dir, from, other_dir, to, flags);
    lock();
    struct stat replaced;
    int had = syscall(SYS_newfstatat, other_dir, to, &replaced, AT_SYMLINK_NOFOLLOW) == 0;
    int done = refused(0);
    if (done == 0 && (flags & RENAME_EXCHANGE)) done = fails_with(EINVAL);
    if (done == 0) done = syscall(SYS_renameat2, dir, from, other_dir, to, flags);
    if (done == 0) {
        note(RENAME, 0, 0, name, other, NULL, 0);
        if (had && replaced.st_nlink <= 1) forget(replaced.st_ino);
    }
    unlock();
    return done;
}

static int link_file(int dir, const char *from, int other_dir, const char *to, int flags) {
    char name[PATH_MAX], other[PATH_MAX];
    if (!inside(dir, from, name) || !inside(other_dir, to, other))
        return syscall(SYS_linkat, dir, from, other_dir, to, flags);
    lock();
    int done = refused(1);
    if (done == 0) done = syscall(SYS_linkat, dir, from, other_dir, to, flags);
    if (done == 0) note(LINK, 0, 0, name, other, NULL, 0);
    unlock();
    return done;
}

static int remove_name(int dir, const char *path, int flags) {
    char name[PATH_MAX];
    if (!inside(dir, path, name)) return syscall(SYS_unlinkat, dir, path, flags);
    lock();
    struct stat stat;
    int had = syscall(SYS_newfstatat, dir, path, &stat, AT_SYMLINK_NOFOLLOW) == 0;
    int done = refused(0);
    if (done == 0) done = syscall(SYS_unlinkat, dir, path, flags);
    if (done == 0 && had && (S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode))) {
        note(REMOVE, 0, 0, name, NULL, NULL, 0);
        if (S_ISDIR(stat.st_mode) || stat.st_nlink <= 1) forget(stat.st_ino);
    }
    unlock();
    return done;
}

static int make_dir(int dir, const char *path, mode_t mode) {
    char name[PATH_MAX];
    if (!inside(dir, path, name)) return syscall(SYS_mkdirat, dir, path, mode);
    lock();
    struct stat stat;
    int exists = syscall(SYS_newfstatat, dir, path, &stat, AT_SYMLINK_NOFOLLOW) == 0;
    int done = exists ? fails_with(EEXIST) : refused(1);
    if (done == 0) done = syscall(SYS_mkdirat, dir, path, mode);
    if (done == 0 && syscall(SYS_newfstatat, dir, path, &stat, AT_SYMLINK_NOFOLLOW) == 0) {
        know(stat.st_ino);
        note(MAKE_DIR, stat.st_ino, 0, name, NULL, NULL, 0);
    }
    unlock();
    return done;
}

/* libc's names. The two that end in 64 are the same function on a 64-bit system. */
#define MODE_OF(flags)                                     \
    mode_t mode = 0;                                       \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {               \
        va_list rest;                                      \
        va_start(rest, flags);                             \
        mode = va_arg(rest, mode_t);                       \
        va_end(rest);                                      \
    }
int open(const char *path, int flags, ...) { MODE_OF(flags) return open_file(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_OF(flags) return open_file(AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE_OF(flags) return open_file(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE_OF(flags) return open_file(dir, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
ssize_t write(int fd, const void *data, size_t bytes) { return put(fd, data, bytes, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at) { return put(fd, data, bytes, at, 1); }
ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t at) { return put(fd, data, bytes, at, 1); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return put_many(fd, parts, count, 0, 0); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return put_many(fd, parts, count, at, 1); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { return put_many(fd, parts, count, at, 1); }
int ftruncate(int fd, off_t bytes) { return resize(fd, bytes); }
int ftruncate64(int fd, off64_t bytes) { return resize(fd, bytes); }
int fallocate(int fd, int mode, off_t at, off_t bytes) { return reserve(fd, mode, at, bytes); }
int fallocate64(int fd, int mode, off64_t at, off64_t bytes) { return reserve(fd, mode, at, bytes); }
int posix_fallocate(int fd, off_t at, off_t bytes) { return reserve(fd, 0, at, bytes) == 0 ? 0 : errno; }
int posix_fallocate64(int fd, off64_t at, off64_t bytes) { return reserve(fd, 0, at, bytes) == 0 ? 0 : errno; }
int fsync(int fd) { return sync_file(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }
int rename(const char *from, const char *to) { return rename_file(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int dir, const char *from, int other, const char *to) { return rename_file(dir, from, other, to, 0); }
int renameat2(int dir, const char *from, int other, const char *to, unsigned flags) {
    return rename_file(dir, from, other, to, flags);
}
int link(const char *from, const char *to) { return link_file(AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int dir, const char *from, int other, const char *to, int flags) {
    return link_file(dir, from, other, to, flags);
}
int unlink(const char *path) { return remove_name(AT_FDCWD, path, 0); }
int unlinkat(int dir, const char *path, int flags) { return remove_name(dir, path, flags); }
int rmdir(const char *path) { return remove_name(AT_FDCWD, path, AT_REMOVEDIR); }
int mkdir(const char *path, mode_t mode) { return make_dir(AT_FDCWD, path, mode); }
int mkdirat(int dir, const char *path, mode_t mode) { return make_dir(dir, path, mode); }

/* Copies inside the kernel would pass us by; a caller that is told so falls back to reading and writing. */
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t bytes, unsigned flags) {
    struct stat stat;
    if (followed(out, &stat)) return fails_with(ENOSYS);
    return syscall(SYS_copy_file_range, in, from, out, to, bytes, flags);
}
ssize_t sendfile(int out, int in, off_t *from, size_t bytes) {
    struct stat stat;
    if (followed(out, &stat)) return fails_with(EINVAL);
    return syscall(SYS_sendfile, out, in, from, bytes);
}
ssize_t sendfile64(int out, int in, off64_t *from, size_t bytes) { return sendfile(out, in, from, bytes); }

static int64_t offset_of(clockid_t clock) {
    int is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    return control && is_wall ? control->clock_offset_ns : 0;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int done = syscall(SYS_clock_gettime, clock, time);
    int64_t offset_ns = done == 0 ? offset_of(clock) : 0;
    if (offset_ns != 0) {
        int64_t at_ns = time->tv_sec * 1000000000LL + time->tv_nsec + offset_ns;
        *time = (struct timespec){at_ns / 1000000000LL, at_ns % 1000000000LL};
    }
    return done;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("DISK_ROOT"), *turned = getenv("DISK_CONTROL"), *written = getenv("DISK_JOURNAL");
    if (!folder || !turned || !written) return;
    int fd = syscall(SYS_openat, AT_FDCWD, turned, O_RDWR | O_CLOEXEC, 0);
    journal = syscall(SYS_openat, AT_FDCWD, written, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || journal < 0) die("open the control file and the journal");
    void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) die("map the control file");
    close(fd);
    struct stat stat;
    if (syscall(SYS_newfstatat, AT_FDCWD, folder, &stat, 0) != 0) die("find the folder");
    snprintf(root, sizeof root, "%s", folder);
    root_bytes = strlen(root);
    control = map;
    lock();
    know(stat.st_ino);
    note(ROOT, stat.st_ino, 0, NULL, NULL, NULL, 0);
    unlock();
}
