#include "pull_many.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "dest.h"
#include "engine/tree.h"
#include "models_file.h"
#include "path.h"
#include "pull_report.h"

#define REPORT_MAX (64 * OCI_MIB)

enum state { STATE_SKIPPED, STATE_PULLED, STATE_UNCHANGED, STATE_REMOVED, STATE_FAILED };
static const char *const state_names[] = {"skipped", "pulled", "unchanged", "removed", "failed"};

struct result {
	const char *path;
	const char *ref;   /* NULL: of a tree that is not in the list */
	enum state state;
	char *pinned;
	struct oci_pull_report report;
	struct oci_strings endpoints;
	struct oci_error err;
};

struct many {
	const struct invocation *inv;
	const struct pull_many_options *options;
	struct models_file file;
	struct oci_strings found; /* trees below the root */
	struct result *results;
	size_t count, failed;
};

static void clear(struct many *m)
{
	for (size_t i = 0; i < m->count; i++) {
		free(m->results[i].pinned);
		oci_strings_clear(&m->results[i].endpoints);
	}
	free(m->results);
	oci_strings_clear(&m->found);
	models_file_clear(&m->file);
}

static bool is_cancelled(const struct many *m)
{
	return m->inv->cancel && atomic_load(m->inv->cancel) != 0;
}

static struct result *add_result(struct many *m, const char *path, const char *ref, struct oci_error *err)
{
	struct result *grown = reallocarray(m->results, m->count + 1, sizeof *grown);

	if (!grown) {
		oci_fail_nomem(err);
		return NULL;
	}
	m->results = grown;
	m->results[m->count] = (struct result){.path = path, .ref = ref};
	return &m->results[m->count++];
}

/* pulling */

static int pin(const struct oci_reference *ref, struct result *r, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	oci_buf_init(&text, 64 * OCI_KIB);
	if (oci_reference_format_pinned(ref, &r->report.root, &text, err) < 0)
		return -1;
	return oci_str_set(&r->pinned, oci_buf_text(&text), err);
}

static int pull_into(const struct many *m, const struct models_entry *entry, const char *dest, struct result *r,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	OCI_CLEANUP(oci_platform_clear) struct oci_platform platform = {0};
	oci_autofree char *part = entry->root ? oci_pull_root(entry->root) : NULL;
	struct oci_pull_options options = *m->options->pull;

	options.from = &ref;
	options.dest = dest;
	if (entry->root && !part)
		return oci_fail_nomem(err);
	if (part)
		options.root = part;
	if (entry->include.count > 0)
		options.filter.include = &entry->include;
	if (entry->exclude.count > 0)
		options.filter.exclude = &entry->exclude;
	if (entry->platform) {
		if (oci_platform_parse(entry->platform, &platform, err) < 0)
			return -1;
		options.platform = &platform;
	}
	if (entry->publish)
		options.publish = (enum oci_publish)dest_publish_find(entry->publish);
	if (oci_reference_parse(entry->ref, &ref, err) < 0 || dest_make_parents(dest, err) < 0 ||
		oci_pull(&options, &r->report, err) < 0)
		return -1;
	if (pin(&ref, r, err) < 0 || pull_report_note(m->inv, &r->report, dest, err) < 0)
		return -1;
	return triton_load(m->inv, m->options->triton, dest, &r->report, &r->endpoints, err);
}

/* In a claim no link may lead out of it, also below ROOT. */
static char *place_of(const struct pull_many_options *o, const char *path, struct oci_error *err)
{
	bool claim = dest_is_claim(o->named);
	const char *top = claim ? o->named : o->root;
	size_t len = strlen(top);
	oci_autofree char *joined = NULL;

	while (claim && len > 0 && top[len - 1] == '/')
		len--;
	joined = oci_str_printf("%.*s/%s", (int)len, top, path);
	if (joined)
		return claim ? dest_path(o->dest, joined, err) : oci_steal(&joined);
	oci_fail_nomem(err);
	return NULL;
}

static int pull_checked(const struct many *m, const struct models_entry *entry, struct result *r, struct oci_error *err)
{
	oci_autofree char *dest = place_of(m->options, entry->path, err);

	return dest ? pull_into(m, entry, dest, r, err) : -1;
}

static int pull_entry(struct many *m, const struct models_entry *entry, struct oci_error *err)
{
	struct result *r = add_result(m, entry->path, entry->ref, err);

	if (!r)
		return -1;
	if (is_cancelled(m))
		return 0;
	if (pull_checked(m, entry, r, &r->err) == 0) {
		r->state = r->report.unchanged ? STATE_UNCHANGED : STATE_PULLED;
		return 0;
	}
	r->state = STATE_FAILED;
	m->failed++;
	if (m->file.count > 1)
		oci_event_warn(m->inv->observer, "%s: %s", entry->path, r->err.text);
	return 0;
}

/* pruning */

static int prune_tree(struct many *m, int root, const char *path, struct oci_error *err)
{
	struct result *r = add_result(m, path, NULL, err);
	char kept[OCI_STR_ESCAPE_MAX];

	if (!r)
		return -1;
	if (is_cancelled(m))
		return 0;
	r->state = STATE_REMOVED;
	if (oci_tree_remove(root, path, kept, &r->err) < 0) {
		r->state = STATE_FAILED;
		m->failed++;
	} else if (*kept)
		oci_event_warn(m->inv->observer, "%s: files that no pull put there stay, such as '%s'", path, kept);
	return 0;
}

static int prune(struct many *m, struct oci_error *err)
{
	oci_autoclose int root = oci_fs_open_dir(m->options->root, err);

	if (root < 0 || oci_trees_find(root, &m->found, err) < 0)
		return -1;
	for (size_t i = 0; i < m->found.count; i++)
		if (!models_file_has(&m->file, m->found.items[i]) && prune_tree(m, root, m->found.items[i], err) < 0)
			return -1;
	return 0;
}

/* the report */

static void put_result(struct oci_json_writer *w, const struct result *r)
{
	oci_json_object(w, NULL);
	oci_json_put_text(w, "state", state_names[r->state]);
	if (r->pinned)
		pull_report_put(w, &r->report, r->pinned, r->path);
	else {
		oci_json_put_text(w, "reference", r->ref);
		path_put(w, "path", r->path);
	}
	triton_put(w, &r->endpoints);
	if (r->err.code) {
		path_put(w, "error", r->err.text);
		oci_json_put_u64(w, "code", (uint64_t)r->err.code);
	}
	oci_json_close(w);
}

static int print_json(const struct many *m, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf buf;
	struct oci_json_writer w;

	oci_buf_init(&buf, REPORT_MAX);
	oci_json_begin(&w, &buf);
	oci_json_object(&w, NULL);
	path_put(&w, "root", m->options->root);
	oci_json_put_u64(&w, "failed", m->failed);
	oci_json_array(&w, "models");
	for (size_t i = 0; i < m->count; i++)
		put_result(&w, &m->results[i]);
	oci_json_close(&w);
	oci_json_close(&w);
	return common_print_json(&w, err);
}

static void print_text(const struct many *m)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct result *r = &m->results[i];

		printf("%-9s ", state_names[r->state]);
		path_print(stdout, r->path);
		if (r->pinned || r->ref) {
			putchar(' ');
			path_print(stdout, r->pinned ? r->pinned : r->ref);
		}
		if (r->err.code) {
			fputs(": ", stdout);
			path_print(stdout, r->err.text);
		}
		putchar('\n');
	}
}

static int verdict(const struct many *m, struct oci_error *err)
{
	const struct result *failed = NULL;

	if (is_cancelled(m))
		return oci_fail(err, OCI_E_CANCELLED, "cancelled; what is published stays, run again for the rest");
	for (size_t i = 0; i < m->count && !failed; i++)
		if (m->results[i].state == STATE_FAILED)
			failed = &m->results[i];
	if (!failed)
		return 0;
	return oci_fail(err, OCI_E_PARTIAL, "%zu of %zu failed, the first '%s': %s", m->failed, m->count, failed->path,
		failed->err.text);
}

int pull_many(const struct invocation *inv, const struct pull_many_options *options, struct oci_error *err)
{
	OCI_CLEANUP(clear) struct many m = {.inv = inv, .options = options};
	oci_autoclose int root = oci_fs_open_dir(options->root, err);
	struct oci_error why = {0};

	if (root < 0 || models_file_read(options->file, &m.file, err) < 0)
		return -1;
	for (size_t i = 0; i < m.file.count; i++)
		if (pull_entry(&m, &m.file.items[i], err) < 0)
			return -1;
	if (options->prune && m.failed == 0 && !is_cancelled(&m))
		(void)prune(&m, &why);
	if (m.count == 1 && m.failed == 1) { /* no report says more than its line */
		*err = m.results[0].err;
		return -1;
	}
	if (options->json && print_json(&m, err) < 0)
		return -1;
	if (!options->json)
		print_text(&m);
	if (why.code) {
		*err = why;
		return -1;
	}
	return verdict(&m, err);
}
