/* exits.h - what an exit code means, in words and for machines
 *
 * The codes themselves are enum oci_errc (base/error.h); they are API.
 */
#pragma once

struct exit_code {
	int code;
	const char *reason; /* one word for machines: "NotFound" */
	const char *text;   /* one phrase for people */
};

/* Ends with reason NULL. 128 stands for 128+n. */
extern const struct exit_code exit_codes[];

/* Never NULL: an unknown code is explained as code 1 is. */
const struct exit_code *exit_code_find(int code);
