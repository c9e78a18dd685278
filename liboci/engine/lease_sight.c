/* Leases of others: what is read, who is dead, and waiting. */
#include "engine/lease_sight.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "core/json.h"

#define BEAT_MS 1000
#define QUIET_MS 3000
#define DEAD_MS 30000
#define LATE_MS 20000
#define SETTLE_MS 1000
#define SLICE_MS 100    /* how long a signal may go unseen */
#define START_FIELD 22  /* of /proc/PID/stat, counted from 1; proc(5) */
#define STATE_FIELD 3

struct oci_lease_options lease_defaults(const struct oci_lease_options *options)
{
	struct oci_lease_options o = options ? *options : (struct oci_lease_options){0};

	o.beat_ms = o.beat_ms ? o.beat_ms : BEAT_MS;
	o.quiet_ms = o.quiet_ms ? o.quiet_ms : QUIET_MS;
	o.dead_ms = o.dead_ms ? o.dead_ms : DEAD_MS;
	o.late_ms = o.late_ms ? o.late_ms : LATE_MS;
	o.settle_ms = o.settle_ms ? o.settle_ms : SETTLE_MS;
	return o;
}

int lease_sleep(const struct oci_lease_options *options, uint64_t wait_ms, struct oci_error *err)
{
	uint64_t end = oci_clock_ms() + wait_ms, now;
	int number;

	do {
		number = options->cancel ? atomic_load(options->cancel) : 0;
		if (number != 0)
			return oci_fail(err, OCI_E_CANCELLED, "cancelled by signal %d", number);
		now = oci_clock_ms();
		if (now < end)
			oci_clock_sleep_ms(end - now < SLICE_MS ? end - now : SLICE_MS);
	} while (now < end);
	return 0;
}

/* processes */

/* A small file of the kernel's; false when it cannot be read. */
static bool read_kernel_file(const char *dir_path, const char *name, struct oci_buf *text)
{
	oci_autoclose int dir = oci_fs_open_dir(dir_path, NULL);

	return dir >= 0 && oci_fs_read_file(dir, name, text, NULL) == 0;
}

/* A field of /proc/PID/stat from the third on: those before it are the pid and
 * the program's name, which may hold anything. */
static bool take_field(const struct oci_buf *stat, unsigned field, char *out, size_t size)
{
	const char *at = strrchr(oci_buf_text(stat), ')');
	size_t len;

	for (unsigned here = STATE_FIELD - 1; at && here < field; here++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return false;
	len = strcspn(at, " \n");
	if (len == 0 || len >= size)
		return false;
	memcpy(out, at, len);
	out[len] = '\0';
	return true;
}

/* When the process began, and its state; false when there is no telling. */
static bool read_process(const char *proc, uint64_t *start, char *state)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf stat;
	char field[24];

	oci_buf_init(&stat, 4 * OCI_KIB);
	if (!read_kernel_file(proc, "stat", &stat) || !take_field(&stat, STATE_FIELD, field, sizeof field))
		return false;
	*state = field[0];
	return take_field(&stat, START_FIELD, field, sizeof field) && oci_str_u64(field, start);
}

void lease_describe_self(struct oci_lease_holder *ret)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf boot;
	char host[OCI_LEASE_HOST_MAX] = "", state;
	struct stat st;

	oci_buf_init(&boot, OCI_LEASE_BOOT_MAX - 1);
	*ret->boot = *ret->host = '\0';
	if (read_kernel_file("/proc/sys/kernel/random", "boot_id", &boot))
		snprintf(ret->boot, sizeof ret->boot, "%.*s", (int)strcspn(oci_buf_text(&boot), "\n"),
			oci_buf_text(&boot));
	if (gethostname(host, sizeof host - 1) == 0 && oci_str_clean_utf8(host))
		memcpy(ret->host, host, sizeof host);
	ret->pid_namespace = stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
	ret->pid = (uint64_t)getpid();
	if (!read_process("/proc/self", &ret->start, &state))
		ret->start = 0;
}

enum life { LIFE_UNKNOWN, LIFE_ALIVE, LIFE_OVER };

/* A process that we could see is looked for. One that is a zombie waits for a
 * parent that may never come: the first process of a container often reaps none. */
static enum life look_for(const struct oci_lease_holder *holder)
{
	struct oci_lease_holder self = {.pid = 0};
	uint64_t start;
	char proc[32], state;

	lease_describe_self(&self);
	if (!*holder->boot || strcmp(holder->boot, self.boot) != 0 || holder->pid_namespace == 0 ||
		holder->pid_namespace != self.pid_namespace || holder->pid == 0 || holder->pid > INT_MAX)
		return LIFE_UNKNOWN;
	if (kill((pid_t)holder->pid, 0) < 0 && errno == ESRCH)
		return LIFE_OVER;
	snprintf(proc, sizeof proc, "/proc/%d", (int)holder->pid);
	if (!read_process(proc, &start, &state))
		return LIFE_ALIVE;
	if (state == 'Z' || state == 'X' || (holder->start != 0 && start != holder->start))
		return LIFE_OVER;
	return LIFE_ALIVE;
}

bool lease_is_dead(const struct oci_lease_sight *sight, const struct oci_lease_options *options)
{
	uint64_t still_ms = oci_clock_ms() - sight->still_since_ms;
	enum life life = look_for(&sight->holder);

	if (life == LIFE_OVER || still_ms >= options->dead_ms)
		return true;
	return life == LIFE_UNKNOWN && sight->unlocked && !sight->lock_lies && still_ms >= options->quiet_ms;
}

/* reading */

/* What is not a lease of ours has no id, and is dead when nobody has touched it. */
static void parse(const char *text, struct oci_lease_holder *ret)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
	struct oci_lease_holder found = {.pid = 0};
	const char *id, *host, *boot;

	doc = oci_json_parse(text, strlen(text), &OCI_JSON_SMALL, NULL);
	id = oci_json_text(doc, "id");
	host = oci_json_text(doc, "host");
	boot = oci_json_text(doc, "boot");
	if (id && strlen(id) == OCI_LEASE_ID_DIGITS)
		memcpy(found.id, id, sizeof found.id);
	if (host && oci_str_clean_utf8(host))
		snprintf(found.host, sizeof found.host, "%s", host);
	if (boot)
		snprintf(found.boot, sizeof found.boot, "%s", boot);
	(void)oci_json_u64(doc, "pidNamespace", &found.pid_namespace);
	(void)oci_json_u64(doc, "pid", &found.pid);
	(void)oci_json_u64(doc, "start", &found.start);
	*ret = found;
}

/* Its descriptor, -2 when there is none, -1. A lock on NFS wants one to write with. */
static int open_lease(int dir, const char *name, struct oci_error *err)
{
	struct oci_error why = {0};
	oci_autoclose int fd = oci_fs_open_beneath(dir, name, O_RDWR | O_NONBLOCK, 0, &why);
	struct stat st = {.st_mode = S_IFREG};

	if (fd < 0 && why.code == OCI_E_PERM) {
		why = (struct oci_error){0};
		fd = oci_fs_open_beneath(dir, name, O_RDONLY | O_NONBLOCK, 0, &why);
	}
	if (fd < 0 && why.code == OCI_E_NOT_FOUND)
		return -2;
	if (why.sys == EISDIR || why.sys == ELOOP || (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)))
		return oci_fail(err, OCI_E_OCCUPIED, "'%s' is in the way of our lease and no regular file; remove it", name);
	if (fd < 0 && err)
		*err = why;
	return oci_steal_fd(&fd);
}

/* The text as far as it fits, "" of one that was replaced while it was read (NFS). */
static int read_text(int fd, char text[OCI_LEASE_TEXT_MAX], struct oci_error *err)
{
	struct oci_error why = {0};
	ssize_t len = oci_fs_pread_full(fd, text, OCI_LEASE_TEXT_MAX - 1, 0, &why);

	if (len < 0 && why.sys != ESTALE) {
		if (err)
			*err = why;
		return oci_wrap(err, "lease");
	}
	text[len < 0 ? 0 : len] = '\0';
	return 0;
}

int lease_look(int dir, const char *name, struct oci_lease_sight *sight, struct oci_error *err)
{
	struct oci_lease_holder before = sight->holder;
	oci_autoclose int fd = open_lease(dir, name, err);
	char text[OCI_LEASE_TEXT_MAX];

	if (fd == -2) {
		*sight = (struct oci_lease_sight){.lock_lies = sight->lock_lies};
		return 0;
	}
	if (fd < 0 || read_text(fd, text, err) < 0)
		return -1;
	if (!sight->there || strcmp(text, sight->text) != 0) {
		memcpy(sight->text, text, sizeof text);
		sight->still_since_ms = oci_clock_ms();
		parse(text, &sight->holder);
		if (sight->there && sight->unlocked && *before.id && strcmp(before.id, sight->holder.id) == 0)
			sight->lock_lies = true;
	}
	sight->there = true;
	sight->unlocked = flock(fd, LOCK_EX | LOCK_NB) == 0;
	return 0;
}

int lease_is_of(int dir, const char *name, const char *id, bool *ret, struct oci_error *err)
{
	oci_autoclose int fd = open_lease(dir, name, err);
	struct oci_lease_holder holder;
	char text[OCI_LEASE_TEXT_MAX];

	if (fd == -1 || (fd >= 0 && read_text(fd, text, err) < 0))
		return -1;
	if (fd >= 0)
		parse(text, &holder);
	*ret = fd >= 0 && strcmp(holder.id, id) == 0;
	return 0;
}

/* waiting */

/* True when there is something to tell of what `sight` shows now. */
static bool take_news(const struct oci_lease_sight *sight, const struct oci_lease_holder *first,
	const struct oci_lease_options *options, enum oci_lease_news *ret)
{
	if (!sight->there)
		*ret = OCI_LEASE_GONE;
	else if (strcmp(first->id, sight->holder.id) != 0)
		*ret = OCI_LEASE_CHANGED;
	else if (lease_is_dead(sight, options))
		*ret = OCI_LEASE_DEAD;
	else
		return false;
	return true;
}

int oci_lease_watch(int dir, const char *name, const struct oci_lease_options *options,
	struct oci_lease_sight *sight, uint64_t wait_ms, enum oci_lease_news *ret, struct oci_error *err)
{
	const struct oci_lease_options o = lease_defaults(options);
	uint64_t end = oci_clock_ms() + wait_ms, pause = o.beat_ms / 2 + 1, now;
	bool known = sight->there;
	struct oci_lease_holder first = sight->holder;

	for (;;) {
		if (lease_look(dir, name, sight, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
		if (!known)
			first = sight->holder;
		known = true;
		if (take_news(sight, &first, &o, ret))
			return 0;
		now = oci_clock_ms();
		if (now >= end) {
			*ret = OCI_LEASE_ALIVE;
			return 0;
		}
		if (lease_sleep(&o, end - now < pause ? end - now : pause, err) < 0)
			return -1;
	}
}
