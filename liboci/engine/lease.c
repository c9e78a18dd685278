#include "engine/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mount.h"
#include "base/str.h"
#include "base/temp.h"
#include "core/json.h"
#include "engine/lease_sight.h"

#define SUFFIX ".part"
#define STACK_BYTES (256 * OCI_KIB)
#define GUARD_TRY_MS 10

enum state { STATE_HELD, STATE_LATE, STATE_TAKEN };

struct oci_lease {
	int dir, fd;
	char *name;
	char temp[OCI_TEMP_NAME_MAX]; /* its name until it is in place, then "" */
	struct oci_lease_holder self;
	struct oci_lease_options options;
	bool write_through;           /* the counter lies in this machine's cache otherwise */
	_Atomic uint64_t beaten_ms;   /* when the counter moved last, on the clock that counts sleep */
	atomic_int state;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;         /* guards `ending` */
	pthread_cond_t changed;
	bool ending;
};

/* the heartbeat */

static uint64_t boot_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Once lost it stays lost: the counter moves no more, so that others see it. */
static bool is_lost(struct oci_lease *lease)
{
	uint64_t beaten_ms = atomic_load(&lease->beaten_ms);
	int held = STATE_HELD;

	if (boot_clock_ms() - beaten_ms > lease->options.late_ms)
		atomic_compare_exchange_strong(&lease->state, &held, STATE_LATE);
	return atomic_load(&lease->state) != STATE_HELD;
}

/* The time is that before the write: by then at the earliest others saw it. */
static void beat(struct oci_lease *lease, uint64_t counter)
{
	char text[LEASE_COUNTER_DIGITS + 1];
	uint64_t now_ms = boot_clock_ms();

	if (is_lost(lease))
		return;
	snprintf(text, sizeof text, "%016llx", (unsigned long long)counter);
	if (oci_fs_pwrite_all(lease->fd, text, LEASE_COUNTER_DIGITS, LEASE_COUNTER_OFFSET, NULL) < 0 ||
		(lease->write_through && oci_fs_sync(lease->fd, NULL) < 0))
		return;
	atomic_store(&lease->beaten_ms, now_ms);
}

static void *thread_main(void *arg)
{
	struct oci_lease *lease = arg;

	pthread_mutex_lock(&lease->lock);
	for (uint64_t counter = 1; !lease->ending; counter++) {
		struct timespec next = oci_clock_deadline(lease->options.beat_ms);

		while (!lease->ending && pthread_cond_timedwait(&lease->changed, &lease->lock, &next) == 0)
			;
		pthread_mutex_unlock(&lease->lock);
		beat(lease, counter);
		pthread_mutex_lock(&lease->lock);
	}
	pthread_mutex_unlock(&lease->lock);
	return NULL;
}

/* Signals are for the threads of the caller. */
static int start(struct oci_lease *lease, struct oci_error *err)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int sys;

	sigfillset(&all);
	sys = pthread_attr_init(&attr);
	if (sys != 0)
		return oci_fail_nomem(err);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	sys = pthread_create(&lease->thread, &attr, thread_main, lease);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	lease->running = sys == 0;
	return sys == 0 ? 0 : oci_fail_sys(err, sys, OCI_E_NOMEM, "no thread for the lease '%s'", lease->name);
}

static void stop(struct oci_lease *lease)
{
	if (!lease->running)
		return;
	pthread_mutex_lock(&lease->lock);
	lease->ending = true;
	pthread_cond_signal(&lease->changed);
	pthread_mutex_unlock(&lease->lock);
	pthread_join(lease->thread, NULL);
	lease->running = false;
}

/* making one */

static struct oci_lease *new_lease(int dir, const char *name, const struct oci_lease_options *options,
	struct oci_error *err)
{
	struct oci_lease *lease = calloc(1, sizeof *lease);

	if (!lease) {
		oci_fail_nomem(err);
		return NULL;
	}
	lease->fd = -1;
	lease->options = *options;
	pthread_mutex_init(&lease->lock, NULL);
	oci_clock_cond_init(&lease->changed);
	lease->name = strdup(name);
	lease->dir = oci_fs_open_dir_beneath(dir, ".", err);
	if (lease->name && lease->dir >= 0)
		return lease;
	if (!lease->name)
		oci_fail_nomem(err);
	oci_lease_drop(lease);
	return NULL;
}

static int write_text(struct oci_lease *lease, struct oci_error *err)
{
	const struct oci_lease_holder *self = &lease->self;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	struct oci_json_writer w;

	oci_buf_init(&text, OCI_LEASE_TEXT_MAX - 1);
	oci_json_begin(&w, &text);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "id", self->id);
	oci_json_put_text(&w, "counter", "0000000000000000");
	oci_json_put_text(&w, "host", self->host);
	oci_json_put_text(&w, "boot", self->boot);
	oci_json_put_u64(&w, "pidNamespace", self->pid_namespace);
	oci_json_put_u64(&w, "pid", self->pid);
	oci_json_put_u64(&w, "start", self->start);
	oci_json_close(&w);
	if (oci_json_end(&w, err) < 0 || oci_fs_write_all(lease->fd, text.data, text.len, err) < 0)
		return -1;
	return oci_fs_sync(lease->fd, err);
}

/* Its first name is that of the lease with random digits, which are its id: who
 * sweeps away what belongs to a destination takes it, too. Everybody may read
 * and lock it who may write beside it. */
static int make_file(struct oci_lease *lease, struct oci_error *err)
{
	struct oci_mount mount;
	char prefix[OCI_TEMP_NAME_MAX];
	size_t len = strlen(lease->name) - (oci_str_ends(lease->name, SUFFIX) ? strlen(SUFFIX) : 0);

	snprintf(prefix, sizeof prefix, "%.*s", (int)len, lease->name);
	lease->fd = oci_temp_file(lease->dir, prefix, 0664, lease->temp, err);
	if (lease->fd < 0)
		return -1;
	(void)fchmod(lease->fd, 0664);
	memcpy(lease->self.id, lease->temp + strlen(prefix) + 1, OCI_LEASE_ID_DIGITS);
	lease_describe_self(&lease->self);
	lease->write_through = !oci_mount_of(lease->fd, &mount) || oci_mount_is_shared(&mount);
	atomic_store(&lease->beaten_ms, boot_clock_ms());
	return write_text(lease, err);
}

/* One at a time changes what has the name, where flock works on a directory; -1
 * where it does not, or where somebody was stopped while holding it. */
static int open_guard(const struct oci_lease *lease)
{
	oci_autoclose int fd = oci_fs_open_dir_beneath(lease->dir, ".", NULL);
	uint64_t end = oci_clock_ms() + lease->options.settle_ms;

	if (fd < 0)
		return -1;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || oci_clock_ms() >= end)
			return -1;
		oci_clock_sleep_ms(GUARD_TRY_MS);
	}
	return oci_steal_fd(&fd);
}

/* A name that nobody has. A server may have done it and lost its answer: the
 * second link tells. Whoever was faster may have swept our file away. */
static int place_new(struct oci_lease *lease, bool *placed, bool *sure, struct oci_error *err)
{
	int sys = linkat(lease->dir, lease->temp, lease->dir, lease->name, 0) == 0 ? 0 : errno;
	struct oci_error why = {0};
	struct stat st;

	if (sys == 0 || (fstat(lease->fd, &st) == 0 && st.st_nlink > 1)) {
		unlinkat(lease->dir, lease->temp, 0);
		lease->temp[0] = '\0';
		*placed = *sure = true;
		return 0;
	}
	if (sys == EEXIST || sys == ENOENT)
		return 0;
	if (oci_fs_rename_new(lease->dir, lease->temp, lease->dir, lease->name, &why) == 0) {
		lease->temp[0] = '\0';
		*placed = true;
		return 0;
	}
	if (why.code == OCI_E_OCCUPIED)
		return 0;
	if (err)
		*err = why;
	return -1;
}

static int place_over(struct oci_lease *lease, bool *placed, struct oci_error *err)
{
	if (renameat(lease->dir, lease->temp, lease->dir, lease->name) < 0)
		return errno == ENOENT ? 0 : oci_fs_fail(err, errno, "take over", lease->name);
	lease->temp[0] = '\0';
	*placed = true;
	return 0;
}

/* Nothing may have changed since the decision. */
static int place(struct oci_lease *lease, struct oci_lease_sight *sight, bool *ours, struct oci_error *err)
{
	const struct oci_lease_sight before = *sight;
	oci_autoclose int guard = open_guard(lease);
	bool placed = false, sure = false;

	if (lease_look(lease->dir, lease->name, sight, err) < 0)
		return -1;
	if (sight->there != before.there || strcmp(sight->text, before.text) != 0)
		return 0;
	if ((sight->there ? place_over(lease, &placed, err) : place_new(lease, &placed, &sure, err)) < 0)
		return -1;
	oci_cleanup_close(&guard);
	guard = -1;
	*ours = sure;
	if (sure || !placed)
		return 0;
	if (lease_sleep(&lease->options, lease->options.settle_ms, err) < 0)
		return -1;
	return lease_is_of(lease->dir, lease->name, lease->self.id, ours, err);
}

int oci_lease_take(int dir, const char *name, const struct oci_lease_options *options,
	struct oci_lease_sight *sight, struct oci_lease **ret, struct oci_error *err)
{
	const struct oci_lease_options o = lease_defaults(options);
	OCI_CLEANUP(oci_lease_cleanup) struct oci_lease *lease = NULL;
	bool ours = false;

	if (lease_look(dir, name, sight, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	if (!sight->there || lease_is_dead(sight, &o)) {
		lease = new_lease(dir, name, &o, err);
		if (!lease || make_file(lease, err) < 0 || start(lease, err) < 0 || place(lease, sight, &ours, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
		if (!ours && lease_look(dir, name, sight, err) < 0) /* whose is it? */
			return oci_fail_side(err, OCI_SIDE_DEST);
	}
	*ret = ours ? oci_steal(&lease) : NULL;
	return 0;
}

/* holding and dropping */

static int check_state(struct oci_lease *lease, struct oci_error *err)
{
	switch (atomic_load(&lease->state)) {
	case STATE_HELD:
		return 0;
	case STATE_LATE:
		oci_fail(err, OCI_E_BUSY, "stood still for more than %llu s, so that another may write here now; run it again",
			(unsigned long long)lease->options.late_ms / 1000);
		break;
	default:
		oci_fail(err, OCI_E_BUSY, "another writer has taken over here; run it again to see what has come of it");
	}
	return oci_fail_side(err, OCI_SIDE_DEST);
}

int oci_lease_check(struct oci_lease *lease, struct oci_error *err)
{
	bool ours = true;
	int held = STATE_HELD;

	if (!is_lost(lease) && lease_is_of(lease->dir, lease->name, lease->self.id, &ours, err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	if (!ours)
		atomic_compare_exchange_strong(&lease->state, &held, STATE_TAKEN);
	return check_state(lease, err);
}

int oci_lease_check_time(struct oci_lease *lease, struct oci_error *err)
{
	return lease && is_lost(lease) ? check_state(lease, err) : 0;
}

void oci_lease_drop(struct oci_lease *lease)
{
	oci_autoclose int guard = -1;
	bool ours = false;

	if (!lease)
		return;
	stop(lease);
	if (lease->fd >= 0 && !lease->temp[0]) {
		guard = open_guard(lease);
		if (lease_is_of(lease->dir, lease->name, lease->self.id, &ours, NULL) == 0 && ours)
			unlinkat(lease->dir, lease->name, 0);
	}
	if (lease->temp[0])
		unlinkat(lease->dir, lease->temp, 0);
	oci_cleanup_close(&lease->fd);
	oci_cleanup_close(&lease->dir);
	pthread_cond_destroy(&lease->changed);
	pthread_mutex_destroy(&lease->lock);
	free(lease->name);
	free(lease);
}

void oci_lease_cleanup(struct oci_lease **lease)
{
	oci_lease_drop(*lease);
}
