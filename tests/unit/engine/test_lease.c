/* Holders are processes of their own here, since a lease tells processes apart;
 * each is forked while this one has no threads. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"
#include "leases.h"

/* A process that takes the lease, says so, and does as it is told from then on:
 * at the next byte it checks, drops and ends with what the check said. */
struct holder {
	pid_t pid;
	int said, told;
};

static int hold(int dir, const struct oci_lease_options *options, int said, int told)
{
	struct oci_lease_sight sight = {.there = false};
	struct oci_lease *lease = NULL;
	struct oci_error err = {0}, again = {0};
	char byte = 'x';

	if (oci_lease_take(dir, NAME, options, &sight, &lease, &err) < 0 || !lease)
		return 1;
	if (write(said, &byte, 1) != 1 || read(told, &byte, 1) != 1)
		return 1;
	oci_lease_check(lease, &err);
	oci_lease_check(lease, &again);
	oci_lease_drop(lease);
	return err.code == again.code ? (int)err.code : 1;
}

static struct holder start_holder(int dir, const struct oci_lease_options *options)
{
	int said[2], told[2];
	struct holder h = {0};
	char byte;

	assert_int_equal(pipe(said), 0);
	assert_int_equal(pipe(told), 0);
	h.pid = fork();
	if (h.pid == 0) {
		alarm(60);
		close(said[0]);
		close(told[1]);
		_exit(hold(dir, options, said[1], told[0]));
	}
	close(said[1]);
	close(told[0]);
	h.said = said[0];
	h.told = told[1];
	assert_int_equal(read(h.said, &byte, 1), 1);
	return h;
}

static int end_holder(struct holder *h)
{
	int status = 0;

	(void)!write(h->told, "x", 1);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	close(h->said);
	close(h->told);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void kill_holder(struct holder *h)
{
	assert_int_equal(kill(h->pid, SIGKILL), 0);
	assert_int_equal(end_holder(h), -SIGKILL);
}

/* A lease as a pod on another machine has written it. */
static void put_foreign(int dir, unsigned counter)
{
	char text[256];

	snprintf(text, sizeof text,
		"{\"id\":\"00112233aabbccdd\",\"counter\":\"%016x\",\"host\":\"other\",\"boot\":\"another\","
		"\"pidNamespace\":7,\"pid\":1,\"start\":5}", counter);
	unlinkat(dir, NAME, 0);
	put_file(dir, NAME, text);
}

static void a_lease_that_nobody_has_is_taken_and_dropping_it_leaves_nothing(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();
	struct oci_lease *lease = take(dir, &options);
	struct stat st;

	assert_non_null(lease);
	assert_int_equal(oci_lease_check(lease, NULL), 0);
	assert_int_equal(oci_lease_check_time(lease, NULL), 0);
	assert_int_equal(oci_lease_check_time(NULL, NULL), 0);
	assert_int_equal(fstatat(dir, NAME, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0664);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(count_entries(dir), 1);
	oci_lease_drop(lease);
	assert_int_equal(count_entries(dir), 0);
}

static void somebody_alive_keeps_it_and_is_named(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();
	struct holder holder = start_holder(dir, &options);
	struct oci_lease_sight sight = {.there = false};
	struct oci_lease *lease = NULL;

	assert_int_equal(oci_lease_take(dir, NAME, &options, &sight, &lease, NULL), 0);
	assert_null(lease);
	assert_int_equal(sight.holder.pid, holder.pid);
	assert_int_equal(watch(dir, &options, &sight, 0), OCI_LEASE_ALIVE);
	assert_int_equal(count_entries(dir), 1);
	assert_int_equal(end_holder(&holder), OCI_OK);
	assert_int_equal(watch(dir, &options, &sight, HOUR_MS), OCI_LEASE_GONE);
	assert_int_equal(oci_lease_take(dir, NAME, &options, &sight, &lease, NULL), 0);
	assert_non_null(lease);
	oci_lease_drop(lease);
}

static void the_counter_moves_while_it_is_held(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();
	struct holder holder = start_holder(dir, &options);
	struct oci_lease_sight sight = {.there = false};
	char before[OCI_LEASE_TEXT_MAX];

	assert_int_equal(watch(dir, &options, &sight, 0), OCI_LEASE_ALIVE);
	memcpy(before, sight.text, sizeof before);
	while (strcmp(before, sight.text) == 0)
		assert_int_equal(watch(dir, &options, &sight, 5), OCI_LEASE_ALIVE);
	assert_int_equal(strlen(before), strlen(sight.text));
	assert_int_equal(end_holder(&holder), OCI_OK);
}

static void the_lease_of_a_killed_process_is_taken_at_once(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();
	struct holder holder = start_holder(dir, &options);
	struct oci_lease *lease;

	kill_holder(&holder);
	lease = take(dir, &options);
	assert_non_null(lease);
	assert_int_equal(oci_lease_check(lease, NULL), 0);
	oci_lease_drop(lease);
	assert_int_equal(count_entries(dir), 0);
}

static void so_is_that_of_a_zombie(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();
	struct holder holder = start_holder(dir, &options);
	struct oci_lease *lease;
	siginfo_t info;

	assert_int_equal(kill(holder.pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)holder.pid, &info, WEXITED | WNOWAIT), 0);
	lease = take(dir, &options);
	assert_non_null(lease);
	oci_lease_drop(lease);
	assert_int_equal(end_holder(&holder), -SIGKILL);
}

static void so_is_that_of_a_process_whose_number_another_has_now(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();
	struct oci_lease *lease = take(dir, &options);
	struct oci_lease_sight sight = {.there = false};
	char text[OCI_LEASE_TEXT_MAX];

	assert_int_equal(watch(dir, &options, &sight, 0), OCI_LEASE_ALIVE);
	oci_lease_drop(lease);
	snprintf(text, sizeof text,
		"{\"id\":\"00112233aabbccdd\",\"counter\":\"0000000000000001\",\"boot\":\"%s\",\"pidNamespace\":%llu,"
		"\"pid\":%llu,\"start\":%llu}", sight.holder.boot, (unsigned long long)sight.holder.pid_namespace,
		(unsigned long long)sight.holder.pid, (unsigned long long)sight.holder.start - 1);
	put_file(dir, NAME, text);
	lease = take(dir, &options);
	assert_non_null(lease);
	oci_lease_drop(lease);
}

static void a_stopped_writer_loses_it_and_finds_out_when_it_wakes_up(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient(), stopped = patient();
	struct oci_lease_sight sight = {.there = false};
	struct oci_lease *lease = NULL;
	struct holder holder;

	stopped.late_ms = 100;
	holder = start_holder(dir, &stopped);
	assert_int_equal(kill(holder.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(holder.pid, NULL, WUNTRACED), holder.pid);
	options.quiet_ms = 1; /* it is not asked: the process can be seen, and it is there */
	assert_int_equal(watch(dir, &options, &sight, 50), OCI_LEASE_ALIVE);
	options.dead_ms = 200;
	assert_int_equal(watch(dir, &options, &sight, HOUR_MS), OCI_LEASE_DEAD);
	assert_int_equal(oci_lease_take(dir, NAME, &options, &sight, &lease, NULL), 0);
	assert_non_null(lease);
	assert_int_equal(kill(holder.pid, SIGCONT), 0);
	assert_int_equal(end_holder(&holder), OCI_E_BUSY);
	assert_int_equal(oci_lease_check(lease, NULL), 0);
	oci_lease_drop(lease);
	assert_int_equal(count_entries(dir), 0);
}

static void one_whose_own_counter_stood_still_has_lost_it(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();
	const struct timespec nap = {.tv_nsec = 60 * 1000000};
	struct oci_error err = {0};
	struct oci_lease *lease;

	options.beat_ms = HOUR_MS;
	options.late_ms = 50;
	lease = take(dir, &options);
	assert_non_null(lease);
	nanosleep(&nap, NULL);
	assert_int_equal(oci_lease_check(lease, &err), -1);
	assert_int_equal(err.code, OCI_E_BUSY);
	assert_int_equal(err.side, OCI_SIDE_DEST);
	oci_lease_drop(lease);
}

static void one_that_was_replaced_fails_its_check_and_leaves_the_other_alone(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();
	struct oci_lease *lease = take(dir, &options);
	struct oci_error err = {0};

	put_foreign(dir, 1);
	assert_int_equal(oci_lease_check(lease, &err), -1);
	assert_int_equal(err.code, OCI_E_BUSY);
	oci_lease_drop(lease);
	assert_true(is_there(dir, NAME));

	unlinkat(dir, NAME, 0);
	lease = take(dir, &options);
	unlinkat(dir, NAME, 0);
	assert_int_equal(oci_lease_check(lease, NULL), -1);
	assert_int_equal(oci_lease_check_time(lease, NULL), -1);
	put_foreign(dir, 1);
	oci_lease_drop(lease);
	assert_true(is_there(dir, NAME));
}

static void another_machine_is_dead_when_it_is_quiet_and_has_let_go_of_the_lock(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();
	struct oci_lease_sight sight = {.there = false};
	struct oci_lease *lease = NULL;
	oci_autoclose int fd = -1;

	put_foreign(dir, 1);
	fd = openat(dir, NAME, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	options.quiet_ms = 20;
	assert_int_equal(watch(dir, &options, &sight, 100), OCI_LEASE_ALIVE);
	assert_int_equal(flock(fd, LOCK_UN), 0);
	assert_int_equal(watch(dir, &options, &sight, HOUR_MS), OCI_LEASE_DEAD);
	assert_int_equal(oci_lease_take(dir, NAME, &options, &sight, &lease, NULL), 0);
	assert_non_null(lease);
	oci_lease_drop(lease);
}

static void a_lock_without_effect_proves_no_death(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();
	struct oci_lease_sight sight = {.there = false};

	flocks = FLOCK_LIES;
	put_foreign(dir, 1);
	assert_int_equal(watch(dir, &options, &sight, 0), OCI_LEASE_ALIVE);
	put_foreign(dir, 2);
	options.quiet_ms = 20;
	assert_int_equal(watch(dir, &options, &sight, 100), OCI_LEASE_ALIVE);
	options.dead_ms = 20;
	assert_int_equal(watch(dir, &options, &sight, HOUR_MS), OCI_LEASE_DEAD);
}

static void neither_does_one_that_cannot_be_had(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();
	struct oci_lease_sight sight = {.there = false};

	flocks = FLOCK_MISSING;
	put_foreign(dir, 1);
	options.quiet_ms = 20;
	assert_int_equal(watch(dir, &options, &sight, 100), OCI_LEASE_ALIVE);
	options.dead_ms = 20;
	assert_int_equal(watch(dir, &options, &sight, HOUR_MS), OCI_LEASE_DEAD);
}

static void a_watch_tells_when_another_holds_it(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();
	struct oci_lease_sight sight = {.there = false};
	struct oci_lease *lease;

	put_foreign(dir, 1);
	assert_int_equal(watch(dir, &options, &sight, 0), OCI_LEASE_ALIVE);
	unlinkat(dir, NAME, 0);
	lease = take(dir, &options);
	assert_int_equal(watch(dir, &options, &sight, HOUR_MS), OCI_LEASE_CHANGED);
	oci_lease_drop(lease);
}

static void a_signal_ends_a_watch(void **state)
{
	int dir = temp_dir_fd(state);
	const atomic_int cancel = SIGTERM;
	struct oci_lease_options options = patient();
	struct oci_lease_sight sight = {.there = false};
	enum oci_lease_news news;
	struct oci_error err = {0};

	options.cancel = &cancel;
	put_foreign(dir, 1);
	assert_int_equal(oci_lease_watch(dir, NAME, &options, &sight, HOUR_MS, &news, &err), -1);
	assert_int_equal(err.code, OCI_E_CANCELLED);
}

static void a_file_that_is_no_lease_is_replaced_when_nobody_touches_it(void **state)
{
	static const char *const texts[] = {"", "{", "[]", "{\"id\":1}", "no lease"};
	int dir = temp_dir_fd(state);

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct oci_lease_options options = patient();
		struct oci_lease_sight sight = {.there = false};
		struct oci_lease *lease = NULL;

		put_file(dir, NAME, texts[i]);
		assert_int_equal(oci_lease_take(dir, NAME, &options, &sight, &lease, NULL), 0);
		assert_null(lease);
		options.dead_ms = 10;
		assert_int_equal(watch(dir, &options, &sight, HOUR_MS), OCI_LEASE_DEAD);
		assert_int_equal(oci_lease_take(dir, NAME, &options, &sight, &lease, NULL), 0);
		assert_non_null(lease);
		oci_lease_drop(lease);
	}
}

static void what_is_no_file_is_in_the_way(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();

	for (int kind = 0; kind < 3; kind++) {
		struct oci_lease_sight sight = {.there = false};
		struct oci_lease *lease = NULL;
		struct oci_error err = {0};

		if (kind == 0)
			put_dir(dir, NAME);
		else if (kind == 1)
			put_link(dir, NAME, "elsewhere");
		else
			assert_int_equal(mkfifoat(dir, NAME, 0600), 0);
		assert_int_equal(oci_lease_take(dir, NAME, &options, &sight, &lease, &err), -1);
		assert_int_equal(err.code, OCI_E_OCCUPIED);
		assert_int_equal(unlinkat(dir, NAME, kind == 0 ? AT_REMOVEDIR : 0), 0);
	}
}

static void it_is_taken_where_links_cannot_be_made_or_their_answer_is_lost(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();

	for (links = LINK_MISSING; links <= LINK_ANSWER_LOST; links++) {
		struct oci_lease *lease = take(dir, &options);

		assert_non_null(lease);
		assert_null(take(dir, &options));
		assert_int_equal(oci_lease_check(lease, NULL), 0);
		assert_int_equal(count_entries(dir), 1);
		oci_lease_drop(lease);
		assert_int_equal(count_entries(dir), 0);
	}
}

/* By a holder who came first, and takes what is under way for a dead one's. */
static void a_lease_that_is_swept_away_on_its_way_is_not_taken(void **state)
{
	int dir = temp_dir_fd(state);
	struct oci_lease_options options = patient();

	links = LINK_SWEPT;
	assert_null(take(dir, &options));
	assert_int_equal(count_entries(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lease_that_nobody_has_is_taken_and_dropping_it_leaves_nothing),
		TEST(somebody_alive_keeps_it_and_is_named),
		TEST(the_counter_moves_while_it_is_held),
		TEST(the_lease_of_a_killed_process_is_taken_at_once),
		TEST(so_is_that_of_a_zombie),
		TEST(so_is_that_of_a_process_whose_number_another_has_now),
		TEST(a_stopped_writer_loses_it_and_finds_out_when_it_wakes_up),
		TEST(one_whose_own_counter_stood_still_has_lost_it),
		TEST(one_that_was_replaced_fails_its_check_and_leaves_the_other_alone),
		TEST(another_machine_is_dead_when_it_is_quiet_and_has_let_go_of_the_lock),
		TEST(a_lock_without_effect_proves_no_death),
		TEST(neither_does_one_that_cannot_be_had),
		TEST(a_watch_tells_when_another_holds_it),
		TEST(a_signal_ends_a_watch),
		TEST(a_file_that_is_no_lease_is_replaced_when_nobody_touches_it),
		TEST(what_is_no_file_is_in_the_way),
		TEST(it_is_taken_where_links_cannot_be_made_or_their_answer_is_lost),
		TEST(a_lease_that_is_swept_away_on_its_way_is_not_taken),
	};

	signal(SIGPIPE, SIG_IGN); /* a holder that was killed is told, too */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
