/* The calls that are watched, each in front of the C library's own. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "interrupt.h"

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* A call that returns -1 when it fails. */
#define RUN(kind, path, name, ...)                              \
	({                                                      \
		enum verdict _v = interrupt_before(kind, #name, path);    \
		__typeof__(REAL(name)(__VA_ARGS__)) _rc = -1;   \
		if (_v != FAIL)                                 \
			_rc = REAL(name)(__VA_ARGS__);          \
		interrupt_after(_v);                                     \
		_rc;                                            \
	})

static unsigned if_regular(int fd, unsigned kind)
{
	int saved = errno;
	struct stat st;
	bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

	errno = saved;
	return regular ? kind : 0;
}

/* opening */

static unsigned open_kind(int flags)
{
	return OPEN | (flags & O_CREAT ? CREATE : 0) | (flags & O_DIRECT ? DIRECT : 0);
}

static bool has_mode(int flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

#define TAKE_MODE(flags)                             \
	({                                           \
		mode_t _mode = 0;                    \
		va_list _list;                       \
		va_start(_list, flags);              \
		if (has_mode(flags))                 \
			_mode = va_arg(_list, mode_t); \
		va_end(_list);                       \
		_mode;                               \
	})

int open(const char *path, int flags, ...)
{
	mode_t mode = TAKE_MODE(flags);

	return RUN(open_kind(flags), path, open, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	mode_t mode = TAKE_MODE(flags);

	return RUN(open_kind(flags), path, open64, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = TAKE_MODE(flags);

	return RUN(open_kind(flags), path, openat, dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
	mode_t mode = TAKE_MODE(flags);

	return RUN(open_kind(flags), path, openat64, dir, path, flags, mode);
}

static long pass_on(long call, const long a[6])
{
	return REAL(syscall)(call, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static unsigned kind_of(long call, const long a[6], const char **path)
{
	const struct open_how *how = (const struct open_how *)a[2];

	if (call == SYS_openat2) {
		*path = (const char *)a[1];
		return OPENAT2 | open_kind((int)how->flags);
	}
	if (call == SYS_renameat2) {
		*path = (const char *)a[3];
		return RENAME | (a[4] ? RENAMEAT2 : 0);
	}
	return call == SYS_copy_file_range ? COPY : 0;
}

/* Calls that the C library has no function for, or had none. */
long syscall(long call, ...)
{
	enum verdict verdict;
	const char *path = "";
	va_list list;
	long a[6], rc = -1;

	va_start(list, call);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (call != SYS_openat2 && call != SYS_renameat2 && call != SYS_copy_file_range)
		return pass_on(call, a);
	verdict = interrupt_before(kind_of(call, a, &path), call == SYS_openat2 ? "openat2" : "syscall", path);
	if (verdict != FAIL)
		rc = pass_on(call, a);
	interrupt_after(verdict);
	return rc;
}

/* content */

/* Half of it, so that there is a rest. */
#define RUN_SIZED(kind, name, size, ...)                                 \
	({                                                               \
		char _size[24];                                          \
		enum verdict _v;                                         \
		ssize_t _rc = -1;                                        \
		snprintf(_size, sizeof _size, "%zu", size);              \
		_v = interrupt_before(kind, #name, _size);                         \
		if (_v == SHORTEN && size > 1)                           \
			size /= 2;                                       \
		if (_v != FAIL)                                          \
			_rc = REAL(name)(__VA_ARGS__);                   \
		interrupt_after(_v);                                              \
		_rc;                                                     \
	})

ssize_t write(int fd, const void *data, size_t size)
{
	return RUN_SIZED(if_regular(fd, WRITE), write, size, fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return RUN_SIZED(if_regular(fd, WRITE), pwrite, size, fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
	return RUN_SIZED(if_regular(fd, WRITE), pwrite64, size, fd, data, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
	return RUN(if_regular(fd, WRITE), "", writev, fd, parts, part_count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int part_count, off_t offset)
{
	return RUN(if_regular(fd, WRITE), "", pwritev, fd, parts, part_count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int part_count, off64_t offset)
{
	return RUN(if_regular(fd, WRITE), "", pwritev64, fd, parts, part_count, offset);
}

ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t size, unsigned flags)
{
	return RUN_SIZED(COPY, copy_file_range, size, in, in_offset, out, out_offset, size, flags);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t size)
{
	return RUN_SIZED(SENDFILE, sendfile, size, out, in, offset, size);
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t size)
{
	return RUN_SIZED(SENDFILE, sendfile64, size, out, in, offset, size);
}

int ftruncate(int fd, off_t size)
{
	return RUN(TRUNCATE, "", ftruncate, fd, size);
}

int ftruncate64(int fd, off64_t size)
{
	return RUN(TRUNCATE, "", ftruncate64, fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
	return RUN(ALLOCATE, "", fallocate, fd, mode, offset, size);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size)
{
	return RUN(ALLOCATE, "", fallocate64, fd, mode, offset, size);
}

int ioctl(int fd, unsigned long request, ...)
{
	bool clones = request == FICLONE || request == FICLONERANGE;
	va_list list;
	void *arg;

	va_start(list, request);
	arg = va_arg(list, void *);
	va_end(list);
	return RUN(clones ? CLONE : 0, "", ioctl, fd, request, arg);
}

int fsync(int fd)
{
	return RUN(SYNC, "", fsync, fd);
}

int fdatasync(int fd)
{
	return RUN(SYNC, "", fdatasync, fd);
}

/* names */

int rename(const char *from, const char *to)
{
	return RUN(RENAME, to, rename, from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return RUN(RENAME, to, renameat, from_dir, from, to_dir, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return RUN(RENAME | (flags ? RENAMEAT2 : 0), to, renameat2, from_dir, from, to_dir, to, flags);
}

int link(const char *from, const char *to)
{
	return RUN(LINK, to, link, from, to);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return RUN(LINK, to, linkat, from_dir, from, to_dir, to, flags);
}

int symlink(const char *target, const char *path)
{
	return RUN(SYMLINK, path, symlink, target, path);
}

int symlinkat(const char *target, int dir, const char *path)
{
	return RUN(SYMLINK, path, symlinkat, target, dir, path);
}

int unlink(const char *path)
{
	return RUN(UNLINK, path, unlink, path);
}

int unlinkat(int dir, const char *path, int flags)
{
	return RUN(UNLINK, path, unlinkat, dir, path, flags);
}

int rmdir(const char *path)
{
	return RUN(UNLINK, path, rmdir, path);
}

int mkdir(const char *path, mode_t mode)
{
	return RUN(MKDIR, path, mkdir, path, mode);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	return RUN(MKDIR, path, mkdirat, dir, path, mode);
}

/* attributes */

int chmod(const char *path, mode_t mode)
{
	return RUN(CHMOD, path, chmod, path, mode);
}

int fchmod(int fd, mode_t mode)
{
	return RUN(CHMOD, "", fchmod, fd, mode);
}

int fchmodat(int dir, const char *path, mode_t mode, int flags)
{
	return RUN(CHMOD, path, fchmodat, dir, path, mode, flags);
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	return RUN(CHOWN, "", fchown, fd, uid, gid);
}

int fchownat(int dir, const char *path, uid_t uid, gid_t gid, int flags)
{
	return RUN(CHOWN, path, fchownat, dir, path, uid, gid, flags);
}

int futimens(int fd, const struct timespec when[2])
{
	return RUN(UTIMES, "", futimens, fd, when);
}

int utimensat(int dir, const char *path, const struct timespec when[2], int flags)
{
	return RUN(UTIMES, path, utimensat, dir, path, when, flags);
}

/* others that may fail */

int flock(int fd, int operation)
{
	return RUN(FLOCK, "", flock, fd, operation);
}

ssize_t getrandom(void *data, size_t size, unsigned flags)
{
	return RUN(RANDOM, "", getrandom, data, size, flags);
}
