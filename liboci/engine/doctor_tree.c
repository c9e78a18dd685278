/* What lies at DEST, and what killed runs have left there or beside it. */
#include "engine/doctor_job.h"

#include <time.h>

#include "engine/leftover.h"

#define RECENT_SECONDS 60 /* a pull under way changes its parts more often */

static bool is_recent(const struct oci_leftovers *l)
{
	time_t now = time(NULL);

	return l->part_count > 0 && now - l->part_time < RECENT_SECONDS;
}

static void check_parts(struct doctor *d, const struct oci_leftovers *l)
{
	char size[OCI_STR_SIZE_MAX];

	if (l->part_count == 0) {
		doctor_ok(d, "leftovers", "none in '%s'", d->place_path);
		return;
	}
	oci_str_size(l->part_bytes, size);
	if (is_recent(l))
		doctor_ok(d, "leftovers", "%zu parts, %s, in '%s' were changed a moment ago: a pull is under way", l->part_count,
			size, d->place_path);
	else
		doctor_warn(d, "leftovers", "run the same pull again: it goes on from them or removes them",
			"%zu parts, %s, of a pull that has not come to its end lie in '%s'", l->part_count, size,
			d->place_path);
}

static void check_others(struct doctor *d, const struct oci_leftovers *l)
{
	const char *next = "choose another directory, or one below it";

	if (l->part_count > 0)
		doctor_fail(d, OCI_E_DAMAGED, "model",
			is_recent(l) ? "wait until it is whole: modelcar wait" : "run the pull again: it goes on where it ended",
			"incomplete: parts of a pull and no record of its end");
	else if (l->other_count == 0)
		doctor_ok(d, "model", "none yet, and nothing in its way");
	else if (d->options->from)
		doctor_fail(d, OCI_E_OCCUPIED, "model", next, "'%s' holds '%s', which no pull has put there", d->options->dest,
			l->first_other);
	else
		doctor_warn(d, "model", next, "'%s' holds '%s', which no pull has put there", d->options->dest,
			l->first_other);
}

static void check_tree(struct doctor *d, const struct oci_leftovers *l)
{
	struct oci_error why = {0};
	char digest[OCI_DIGEST_TEXT_MAX], size[OCI_STR_SIZE_MAX];

	d->has_tree = oci_wait_look(d->options->dest, NULL, &d->tree, &why) == 0;
	if (d->has_tree)
		doctor_ok(d, "model", "%s: %zu files, %s, all with their size and time",
			oci_digest_format(&d->tree.record.root, digest), d->tree.record.listing.count,
			oci_str_size(d->tree.bytes, size));
	else if (why.code == OCI_E_NOT_FOUND)
		check_others(d, l);
	else if (why.code == OCI_E_DAMAGED)
		doctor_fail(d, why.code, "model", "see modelcar verify; pull it again", "%s", why.text);
	else
		doctor_fail(d, why.code, "model", "remove or mend the record, then pull again", "%s", why.text);
}

void doctor_tree(struct doctor *d)
{
	struct oci_leftovers at_place = {0}, at_dest = {0};
	struct oci_error why = {0};

	if (d->place < 0)
		return;
	if (oci_leftovers_scan(d->place, &at_place, &why) < 0 ||
		(d->dest >= 0 && oci_leftovers_scan(d->dest, &at_dest, &why) < 0)) {
		doctor_fail(d, why.code, "leftovers", doctor_remedy(why.sys), "%s", why.text);
		return;
	}
	check_parts(d, &at_place);
	if (d->dest >= 0)
		check_tree(d, &at_dest);
}
