#include "audit.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "core/json.h"

#define LINE_MAX_BYTES (64 * OCI_KIB)

int audit_open(struct audit *audit, const char *path, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];

	*audit = (struct audit){.path = path};
	if (!path)
		return 0;
	audit->file = fopen(path, "ae");
	return audit->file ? 0 : oci_fail_sys(err, errno, OCI_E_IO, "cannot write the audit to '%s'",
		oci_str_escape(path, shown));
}

static void put_digest(struct oci_json_writer *w, const char *key, const struct oci_digest *digest)
{
	char text[OCI_DIGEST_TEXT_MAX];

	if (digest->alg)
		oci_json_put_text(w, key, oci_digest_format(digest, text));
}

void audit_object(void *ctx, const struct oci_mirror_object *object)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf line;
	const struct oci_mirror_entry *entry = object->entry;
	struct audit *audit = ctx;
	struct oci_json_writer w;
	char now[OCI_CLOCK_TEXT_MAX];

	if (!audit->file)
		return;
	oci_buf_init(&line, LINE_MAX_BYTES);
	oci_clock_format(time(NULL), now);
	oci_json_begin(&w, &line);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "time", now);
	oci_json_put_text(&w, "rule", entry->rule->name ? entry->rule->name : entry->rule->source);
	oci_json_put_text(&w, "kind", object->kind);
	oci_json_put_text(&w, "state", object->state);
	oci_json_put_text(&w, "source", entry->source);
	oci_json_put_text(&w, "destination", entry->destination);
	put_digest(&w, "sourceDigest", &object->source_digest);
	put_digest(&w, "destinationDigest", &object->destination_digest);
	oci_json_put_u64(&w, "bytes", object->size_bytes);
	if (entry->err.code)
		oci_json_put_text(&w, "error", entry->err.text);
	oci_json_close(&w);
	if (oci_json_end(&w, NULL) < 0 || fprintf(audit->file, "%s\n", oci_buf_text(&line)) < 0 ||
		fflush(audit->file) != 0)
		audit->failed = true;
}

int audit_close(struct audit *audit, struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	bool failed = audit->failed;

	if (!audit->file)
		return 0;
	failed = (fsync(fileno(audit->file)) < 0 && errno != EINVAL && errno != EROFS) || failed;
	failed = fclose(audit->file) != 0 || failed;
	audit->file = NULL;
	return failed ? oci_fail(err, OCI_E_IO, "the audit file '%s' is not complete", oci_str_escape(audit->path, shown)) : 0;
}
