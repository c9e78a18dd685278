/* What a command costs as a whole: the time on the wall, the processor time of
 * the process and all its children, and the resident memory of the largest of
 * them. A small program of its own, since Linux counts what a process was before
 * it called exec as well: the children of an interpreter are never small.
 *
 *     cost REPORT COMMAND [ARG]...
 *
 * REPORT is written as one line of JSON; the exit status is the command's, or
 * 128 and the number of the signal that ended it, or 125 without a report. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NO_REPORT 125
#define NO_COMMAND 127

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static int wait_for(pid_t command)
{
	int status = 0;

	if (waitpid(command, &status, 0) < 0)
		return NO_REPORT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int report(const char *path, int code, double wall_s)
{
	struct rusage used;
	FILE *file = fopen(path, "w");

	if (!file || getrusage(RUSAGE_CHILDREN, &used))
		return -1;
	fprintf(file, "{\"code\": %d, \"wall_s\": %.6f, \"user_s\": %.6f, \"sys_s\": %.6f, \"rss_bytes\": %ld}\n", code,
		wall_s, seconds(used.ru_utime), seconds(used.ru_stime), used.ru_maxrss * 1024L);
	return fclose(file);
}

int main(int argc, char **argv)
{
	double start, wall_s;
	pid_t command;
	int code;

	if (argc < 3) {
		fprintf(stderr, "usage: cost REPORT COMMAND [ARG]...\n");
		return NO_REPORT;
	}
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		return NO_REPORT;
	start = now_s();
	command = fork();
	if (command == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(NO_COMMAND);
	}
	if (command < 0)
		return NO_REPORT;
	code = wait_for(command);
	wall_s = now_s() - start;
	while (waitpid(-1, NULL, WNOHANG) > 0) /* those whom it left behind count as well, where they have ended */
		;
	return report(argv[1], code, wall_s) ? NO_REPORT : code;
}
