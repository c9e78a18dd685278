/* Interrupts a process at the Nth system call of some kind, for the crash tests.
 *
 *     LD_PRELOAD=interrupt.so INTERRUPT_COUNT=file INTERRUPT_KINDS=write,rename \
 *             INTERRUPT_ACT=kill-before INTERRUPT_AT=7 modelcar …
 *
 * INTERRUPT_COUNT  a file of eight zero bytes: how many calls there were, of all
 *                  threads. Without it nothing is interrupted.
 * INTERRUPT_KINDS  names below, or "mutating" for all that change a file system
 * INTERRUPT_ACT    "" counts only; "kill-before" and "kill-after" the call;
 *                  "stop-before" it, until SIGCONT; "short": half of it, of a
 *                  write or a copy; a number is the errno that it fails with
 * INTERRUPT_AT     which call, from 1
 * INTERRUPT_TIMES  so many from there on, 1 by default; 0: all
 * INTERRUPT_LACK   kinds that are refused always, each with its errno: "flock:37,link:1"
 * INTERRUPT_LOG    a file to which each counted call is added: its number, name,
 *                  and path or size
 *
 * Writes to anything but regular files do not count.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
	CREATE = 1 << 0, /* open with O_CREAT */
	WRITE = 1 << 1,
	COPY = 1 << 2,
	TRUNCATE = 1 << 3,
	ALLOCATE = 1 << 4,
	RENAME = 1 << 5,
	LINK = 1 << 6,
	SYMLINK = 1 << 7,
	UNLINK = 1 << 8,
	MKDIR = 1 << 9,
	SYNC = 1 << 10,
	CHMOD = 1 << 11,
	CHOWN = 1 << 12,
	UTIMES = 1 << 13,
	CLONE = 1 << 14,
	MUTATING = (1 << 15) - 1,
	DIRECT = 1 << 15,    /* open with O_DIRECT */
	OPENAT2 = 1 << 16,
	RENAMEAT2 = 1 << 17, /* with flags */
	FLOCK = 1 << 18,
	RANDOM = 1 << 19,
	OPEN = 1 << 20,      /* any */
};

static const struct {
	const char *name;
	unsigned kind;
} kinds[] = {{"create", CREATE}, {"write", WRITE}, {"copy", COPY}, {"truncate", TRUNCATE}, {"allocate", ALLOCATE},
	{"rename", RENAME}, {"link", LINK}, {"symlink", SYMLINK}, {"unlink", UNLINK}, {"mkdir", MKDIR}, {"sync", SYNC},
	{"chmod", CHMOD}, {"chown", CHOWN}, {"utimes", UTIMES}, {"clone", CLONE}, {"mutating", MUTATING},
	{"direct", DIRECT}, {"openat2", OPENAT2}, {"renameat2", RENAMEAT2}, {"flock", FLOCK}, {"random", RANDOM},
	{"open", OPEN}};

static enum { ACT_COUNT, ACT_KILL_BEFORE, ACT_KILL_AFTER, ACT_STOP_BEFORE, ACT_SHORT, ACT_FAIL } act;
static unsigned wanted;
static uint64_t at, times;
static int number; /* the errno */
static int lacks[32]; /* by the bit of a kind: the errno of a call that this system has not, or 0 */
static int log_fd = -1;
static _Atomic uint64_t *count;

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static unsigned parse_kinds(const char *text)
{
	unsigned found = 0;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		size_t len = strlen(kinds[i].name);

		for (const char *p = text; p && *p; p += strcspn(p, ","), p += *p == ',')
			if (strncmp(p, kinds[i].name, len) == 0 && (p[len] == ',' || p[len] == '\0'))
				found |= kinds[i].kind;
	}
	return found;
}

/* "kind:errno,…" */
static void parse_lacks(const char *text)
{
	while (text && *text) {
		const char *colon = strchr(text, ':');

		for (size_t i = 0; colon && i < sizeof kinds / sizeof *kinds; i++)
			if (strlen(kinds[i].name) == (size_t)(colon - text) &&
				strncmp(text, kinds[i].name, (size_t)(colon - text)) == 0)
				lacks[__builtin_ctz(kinds[i].kind)] = (int)strtol(colon + 1, NULL, 10);
		text = strchr(text, ',');
		text = text ? text + 1 : NULL;
	}
}

static int lacking(unsigned kind)
{
	for (unsigned bit = 0; bit < 32; bit++)
		if ((kind & 1U << bit) && lacks[bit])
			return lacks[bit];
	return 0;
}

static void parse_act(const char *text)
{
	static const char *const names[] = {"", "kill-before", "kill-after", "stop-before", "short"};

	act = ACT_FAIL;
	for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
		if (strcmp(text, names[i]) == 0)
			act = i;
	if (act == ACT_FAIL)
		number = (int)strtol(text, NULL, 10);
}

/* The descriptors are far up, where no test of their number looks, and not inherited. */
__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("INTERRUPT_COUNT"), *log = getenv("INTERRUPT_LOG"), *what = getenv("INTERRUPT_ACT");
	int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return;
	wanted = parse_kinds(getenv("INTERRUPT_KINDS"));
	parse_act(what ? what : "");
	parse_lacks(getenv("INTERRUPT_LACK"));
	at = setting("INTERRUPT_AT", 0);
	times = setting("INTERRUPT_TIMES", 1);
	if (log && *log)
		log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	count = map;
}

static void note(uint64_t n, const char *name, const char *path)
{
	char line[512];
	int len = snprintf(line, sizeof line, "%llu %s %.400s\n", (unsigned long long)n, name, path ? path : "");

	(void)!syscall(SYS_write, log_fd, line, (size_t)len);
}

/* Nobody else of this process runs on, either. */
static void send(int signal)
{
	syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
}

enum verdict { PASS, FAIL, SHORTEN, KILL };

static enum verdict arrive(unsigned kind, const char *name, const char *path)
{
	int saved = errno;
	enum verdict verdict = PASS;
	uint64_t n;

	if (!count)
		return PASS;
	if (lacking(kind)) {
		errno = lacking(kind);
		return FAIL;
	}
	if (!(kind & wanted))
		return PASS;
	n = atomic_fetch_add(count, 1) + 1;
	if (log_fd >= 0)
		note(n, name, path);
	errno = saved;
	if (at == 0 || n < at || (times != 0 && n >= at + times))
		return PASS;
	switch (act) {
	case ACT_COUNT:
		break;
	case ACT_KILL_BEFORE:
		send(SIGKILL);
		break;
	case ACT_STOP_BEFORE:
		send(SIGSTOP);
		break;
	case ACT_KILL_AFTER:
		verdict = KILL;
		break;
	case ACT_SHORT:
		verdict = SHORTEN;
		break;
	case ACT_FAIL:
		errno = number;
		verdict = FAIL;
		break;
	}
	return verdict;
}

static void depart(enum verdict verdict)
{
	if (verdict == KILL)
		send(SIGKILL);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* A call that returns -1 when it fails. */
#define RUN(kind, path, name, ...)                              \
	({                                                      \
		enum verdict _v = arrive(kind, #name, path);    \
		__typeof__(REAL(name)(__VA_ARGS__)) _rc = -1;   \
		if (_v != FAIL)                                 \
			_rc = REAL(name)(__VA_ARGS__);          \
		depart(_v);                                     \
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
	verdict = arrive(kind_of(call, a, &path), call == SYS_openat2 ? "openat2" : "syscall", path);
	if (verdict != FAIL)
		rc = pass_on(call, a);
	depart(verdict);
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
		_v = arrive(kind, #name, _size);                         \
		if (_v == SHORTEN && size > 1)                           \
			size /= 2;                                       \
		if (_v != FAIL)                                          \
			_rc = REAL(name)(__VA_ARGS__);                   \
		depart(_v);                                              \
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
