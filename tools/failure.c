#include "failure.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "core/json.h"
#include "exits.h"

#define TERMINATION_MAX ((size_t)1024) /* of 12 KiB that a pod's containers share */

int failure_exit_code(const struct oci_error *err, int signal_number)
{
	if (err->code == OCI_E_CANCELLED)
		return OCI_E_CANCELLED + (signal_number > 0 ? signal_number : SIGTERM);
	return err->code == OCI_OK ? OCI_E_BUG : (int)err->code;
}

static int format_message(struct oci_buf *out, int code, const char *text, struct oci_error *err)
{
	struct oci_json_writer w;

	oci_buf_reset(out);
	oci_json_begin(&w, out);
	oci_json_object(&w, NULL);
	oci_json_put_u64(&w, "code", (uint64_t)code);
	oci_json_put_text(&w, "reason", exit_code_find(code)->reason);
	oci_json_put_text(&w, "message", text);
	oci_json_close(&w);
	return oci_json_end(&w, err);
}

/* Cut `text` by a few bytes, not inside a character. */
static void shorten(char *text)
{
	size_t len = strlen(text);

	len -= len < 16 ? len : 16;
	while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
		len--;
	text[len] = '\0';
}

/* Best effort: a pod without the file, or a full disk, changes nothing about the exit code. */
static void write_termination_message(int code, const char *text)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf message;
	char cut[2 * sizeof((struct oci_error *)0)->text];
	const char *path = getenv("MODELCAR_TERMINATION_LOG");

	oci_buf_init(&message, TERMINATION_MAX);
	if (!path || !*path)
		path = "/dev/termination-log";
	oci_autoclose int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	snprintf(cut, sizeof cut, "%s", text);
	while (format_message(&message, code, cut, NULL) < 0 && *cut)
		shorten(cut);
	oci_fs_write_all(fd, message.data, message.len, NULL);
}

int failure_report(const struct oci_error *err, int signal_number)
{
	int code = failure_exit_code(err, signal_number);
	const char *text = err->text[0] ? err->text : "failed without a reason, please report this";
	char line[2 * sizeof err->text];

	text = oci_str_escape_to(text, line, sizeof line); /* a path of the user's may hold anything */
	fprintf(stderr, "modelcar: %s\n", text);
	write_termination_message(code, text);
	return code;
}

void failure_none(const char *done)
{
	if (*done)
		write_termination_message(OCI_OK, done);
}
