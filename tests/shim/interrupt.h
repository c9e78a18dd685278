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
 *                  write, a copy or what is sent; a number is the errno that it fails with
 * INTERRUPT_AT     which call, from 1
 * INTERRUPT_TIMES  so many from there on, 1 by default; 0: all
 * INTERRUPT_LACK   kinds that are refused always, each with its errno: "flock:37,link:1"
 * INTERRUPT_LOG    a file to which each counted call is added: its number, name,
 *                  and path or size
 *
 * Writes to anything but regular files do not count.
 */
#pragma once

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
	SENDFILE = 1 << 21,
};

enum verdict { PASS, FAIL, SHORTEN, KILL };

/* A call comes, of these kinds (0: of none), and what it is done to: the verdict
 * is carried out before it, and by interrupt_after() behind it. On FAIL errno is set. */
enum verdict interrupt_before(unsigned kind, const char *name, const char *path);
void interrupt_after(enum verdict verdict);
