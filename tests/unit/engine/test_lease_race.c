/* Several processes reach for one lease; each is forked while this one has no threads. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/wait.h>

#include "leases.h"

#define TAKERS 4
#define ROUNDS 25

/* One of several that reach for it at once: says whether it has it, waits until
 * all have said so, and ends with whether it passes the check. */
static int race(int dir, int go, int said, int all)
{
	struct oci_lease_options options = patient();
	struct oci_lease_sight sight = {.there = false};
	struct oci_lease *lease = NULL;
	int passes;
	char byte;

	if (flocks == FLOCK_WORKS)
		options.settle_ms = 250; /* so long a busy machine may keep the lock from us */
	if (read(go, &byte, 1) != 0 || oci_lease_take(dir, NAME, &options, &sight, &lease, NULL) < 0)
		return 2;
	if (write(said, lease ? "1" : "0", 1) != 1 || read(all, &byte, 1) != 0)
		return 2;
	passes = lease && oci_lease_check(lease, NULL) == 0;
	return passes; /* and dies with it */
}

/* Lets all go at once; counts who has it and who passes the check. */
static void run_race(int dir, unsigned *have, unsigned *pass)
{
	int go[2], said[2], all[2];
	pid_t pids[TAKERS];
	char byte;

	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(said), 0);
	assert_int_equal(pipe(all), 0);
	for (unsigned i = 0; i < TAKERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			alarm(60);
			close(go[1]);
			close(all[1]);
			_exit(race(dir, go[0], said[1], all[0]));
		}
	}
	*have = *pass = 0;
	close(go[1]);
	for (unsigned i = 0; i < TAKERS; i++) {
		assert_int_equal(read(said[0], &byte, 1), 1);
		*have += byte == '1';
	}
	close(all[1]);
	for (unsigned i = 0; i < TAKERS; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		*pass += WEXITSTATUS(status) == 1;
	}
	close(go[0]);
	close(said[0]);
	close(said[1]);
	close(all[0]);
}

/* Each round but the first takes over from the dead winner of the one before. */
static void of_several_exactly_one_takes_it_over(void **state)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned have, pass;

		run_race(temp_dir_fd(state), &have, &pass);
		assert_int_equal(have, 1);
		assert_int_equal(pass, 1);
	}
	assert_int_equal(count_entries(temp_dir_fd(state)), 1);
}

static void without_locks_exactly_one_passes_the_check(void **state)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned have, pass;

		flocks = round % 2 ? FLOCK_MISSING : FLOCK_LIES;
		run_race(temp_dir_fd(state), &have, &pass);
		assert_true(have >= 1);
		assert_int_equal(pass, 1);
	}
	assert_int_equal(count_entries(temp_dir_fd(state)), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_several_exactly_one_takes_it_over),
		TEST(without_locks_exactly_one_passes_the_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
