/* One writer at a time: the others wait, and find the tree. */
#include "engine/pull_tree.h"

#define LOOK_MS 5000

static void say_who(const struct pull_tree *t, const struct oci_lease_sight *sight)
{
	const char *host = sight->holder.host;

	oci_event_note(t->options->observer, "another pull fills '%s' (process %llu%s%s): waiting for it", t->options->dest,
		(unsigned long long)sight->holder.pid, *host ? " on " : "", host);
}

int pull_lease(struct pull_tree *t, struct oci_error *err)
{
	struct oci_lease_options options = {.cancel = t->options->cancel};
	struct oci_lease_sight sight = {0};
	enum oci_lease_news news;
	char name[OCI_STAGE_NAME_MAX];
	bool said = false;

	oci_stage_dest_name(t->place.state_name, "lease", name);
	for (;;) {
		if (oci_lease_take(t->place.state, name, &options, &sight, &t->lease, err) < 0) {
			oci_wrap(err, "cannot write beside '%s'", t->options->dest);
			return oci_fail_side(err, OCI_SIDE_DEST);
		}
		if (t->lease)
			return 0;
		if (!said)
			say_who(t, &sight);
		said = true;
		if (oci_lease_watch(t->place.state, name, &options, &sight, LOOK_MS, &news, err) < 0)
			return oci_fail_side(err, OCI_SIDE_DEST);
	}
}
