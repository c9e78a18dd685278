#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	unsigned kind;
} kinds[] = {{"create", CREATE}, {"write", WRITE}, {"copy", COPY}, {"truncate", TRUNCATE}, {"allocate", ALLOCATE},
	{"rename", RENAME}, {"link", LINK}, {"symlink", SYMLINK}, {"unlink", UNLINK}, {"mkdir", MKDIR}, {"sync", SYNC},
	{"chmod", CHMOD}, {"chown", CHOWN}, {"utimes", UTIMES}, {"clone", CLONE}, {"mutating", MUTATING},
	{"direct", DIRECT}, {"openat2", OPENAT2}, {"renameat2", RENAMEAT2}, {"flock", FLOCK}, {"random", RANDOM},
	{"open", OPEN}, {"sendfile", SENDFILE}};

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

enum verdict interrupt_before(unsigned kind, const char *name, const char *path)
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

void interrupt_after(enum verdict verdict)
{
	if (verdict == KILL)
		send(SIGKILL);
}
