/* Images without an index: layers are unpacked as streams, each with a ledger, and merged. */
#include "engine/pull_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/workers.h"
#include "stream/gzip.h"
#include "stream/verify.h"
#include "stream/zstd.h"

#define JOBS_LEAST 4
#define JOBS_MOST 16

static bool shape_wanted(const struct pull_job *p, const struct oci_block_index_layer *layer, bool *whole)
{
	bool any = false;

	*whole = true;
	for (size_t i = 0; i < layer->file_count; i++) {
		if (oci_filter_takes(&p->filter, p->image->index.files[layer->first_file + i].path))
			any = true;
		else
			*whole = false;
	}
	return any;
}

/* Both runs are sorted by path. */
static bool share_a_path(const struct oci_block_index *index, const struct oci_block_index_layer *a,
	const struct oci_block_index_layer *b)
{
	size_t i = 0, j = 0;

	while (i < a->file_count && j < b->file_count) {
		int order = strcmp(index->files[a->first_file + i].path, index->files[b->first_file + j].path);

		if (order == 0)
			return true;
		if (order < 0)
			i++;
		else
			j++;
	}
	return false;
}

/* Does a later layer replace a file of this one? Then the layer's digest does
 * not prove the others. */
static bool is_overridden(const struct pull_job *p, size_t i)
{
	const struct oci_block_index *index = &p->image->index;
	const struct oci_block_index_layer *layer = &index->layers[p->image->layers[i].indexed];

	for (size_t above = i + 1; above < p->image->manifest.layer_count; above++) {
		const struct oci_image_layer *upper = &p->image->layers[above];

		if (upper->use == OCI_USE_NONE)
			continue;
		if (upper->use != OCI_USE_SHAPED) /* no telling */
			return true;
		if (share_a_path(index, layer, &index->layers[upper->indexed]))
			return true;
	}
	return false;
}

static void decide_layer(struct pull_job *p, size_t i)
{
	const struct oci_image_layer *layer = &p->image->layers[i];
	bool whole = true;

	p->wanted[i] = layer->use != OCI_USE_NONE;
	p->digests[i] = true;
	if (layer->use == OCI_USE_RAW)
		p->wanted[i] = oci_filter_takes(&p->filter, layer->path);
	if (layer->use != OCI_USE_SHAPED || strcmp(p->root, OCI_MODEL_ROOT) != 0)
		return;
	p->wanted[i] = shape_wanted(p, &p->image->index.layers[layer->indexed], &whole);
	p->digests[i] = !whole || is_overridden(p, i);
}

int pull_decide(struct pull_job *p, struct oci_error *err)
{
	size_t count = p->image->manifest.layer_count + 1;

	p->wanted = calloc(count, sizeof *p->wanted);
	p->digests = calloc(count, sizeof *p->digests);
	p->unpacked = calloc(count, sizeof *p->unpacked);
	p->merge = calloc(count, sizeof *p->merge);
	if (!p->wanted || !p->digests || !p->unpacked || !p->merge)
		return oci_fail_nomem(err);
	for (size_t i = 0; i + 1 < count; i++) {
		decide_layer(p, i);
		p->merge[i].unpacked = &p->unpacked[i];
		p->merge[i].exclusive = p->image->layers[i].use == OCI_USE_RAW;
	}
	return 0;
}

/* From where the ledger says, if there is one: only a layer that is stored as it is has such a place. */
static struct oci_reader *open_layer(struct pull_job *p, size_t i, struct oci_ledger *ledger, struct oci_error *err)
{
	const struct oci_image_layer *layer = &p->image->layers[i];
	const struct oci_descriptor plain = {.digest = layer->diff_id, .size_bytes = OCI_VERIFY_ANY_SIZE};
	bool along = ledger && layer->compression == OCI_PLAIN;
	struct oci_reader *reader =
		oci_store_fetch_along(p->store, &p->image->manifest.layers[i], along ? &ledger->trail : NULL, err);

	if (!reader || layer->compression == OCI_PLAIN)
		return reader;
	if (layer->compression == OCI_GZIP)
		reader = oci_gzip_reader_take(reader, err);
	else
		reader = oci_zstd_reader_take(reader, err);
	if (!reader || !layer->diff_id.alg)
		return reader;
	return oci_verify_reader_take(reader, &plain, err);
}

static int unpack_shaped(struct pull_job *p, size_t i, struct oci_reader *reader,
	const struct oci_unpack_options *options, struct oci_error *err)
{
	oci_autofree struct oci_layer_file *files = NULL;
	struct oci_layer_shape shape;

	if (oci_block_index_shape(&p->image->index, p->image->layers[i].indexed, &shape, &files, err) < 0)
		return -1;
	return oci_unpack_shaped(reader, &shape, options, &p->unpacked[i], err);
}

/* An artifact of ours and of olot's keeps the image's names in its tars. */
static const char *strip_of(const struct oci_image_layer *layer)
{
	return layer->path && !oci_str_starts(layer->path, OCI_MODEL_ROOT) ? OCI_MODEL_ROOT : NULL;
}

struct oci_unpack_options pull_options(struct pull_job *p, size_t i, const atomic_bool *failed)
{
	const struct oci_image_layer *layer = &p->image->layers[i];
	bool tar = layer->use == OCI_USE_TAR;

	return (struct oci_unpack_options){
		.layer = i,
		.root = tar ? "" : p->root,
		.strip = tar ? strip_of(layer) : NULL,
		.filter = p->filter,
		.digests = p->digests[i],
		.observer = p->observer,
		.cancel = p->cancel,
		.failed = failed,
		.may = p->may,
		.ctx = p->ctx,
		.name_bytes = &p->name_bytes,
	};
}

static bool is_shaped(const struct pull_job *p, size_t i)
{
	return p->image->layers[i].use == OCI_USE_SHAPED && strcmp(p->root, OCI_MODEL_ROOT) == 0;
}

int pull_unpack(struct pull_job *p, size_t i, const struct oci_unpack_options *options,
	struct oci_error *err)
{
	const struct oci_image_layer *layer = &p->image->layers[i];
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = open_layer(p, i, options->ledger, err);

	if (!reader)
		return -1;
	if (is_shaped(p, i))
		return unpack_shaped(p, i, reader, options, err);
	if (layer->use == OCI_USE_RAW)
		return oci_unpack_raw(reader, layer->path, &p->image->manifest.layers[i], options, &p->unpacked[i], err);
	return oci_unpack_tar_take(oci_steal(&reader), layer->use != OCI_USE_TAR, options, &p->unpacked[i], err);
}

static void forget(struct pull_job *p, size_t i)
{
	atomic_fetch_sub(&p->name_bytes, p->unpacked[i].name_bytes);
	oci_unpacked_clear(&p->unpacked[i]);
}

static int check_blob(struct pull_job *p, size_t i, struct oci_error *err)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader =
		oci_store_fetch(p->store, &p->image->manifest.layers[i], err);

	return reader ? oci_reader_drain(reader, err) : -1;
}

/* A layer on its way into the stage. */
struct taking {
	struct pull_job *job;
	size_t i;
	struct oci_ledger_key key;
	struct oci_unpack_options options;
	struct oci_ledger ledger;
};

static int unpack(struct taking *t, struct oci_error *err)
{
	struct oci_ledger *ledger = t->options.ledger;

	if (pull_unpack(t->job, t->i, &t->options, err) < 0)
		return -1;
	return ledger ? oci_ledger_end(ledger, &t->job->unpacked[t->i], err) : 0;
}

static int begin_anew(struct taking *t, struct oci_error *err)
{
	forget(t->job, t->i);
	return t->options.ledger ? oci_ledger_reset(&t->key, &t->options, t->options.ledger, err) : 0;
}

static bool is_content(const struct oci_error *err)
{
	return err->code == OCI_E_DIGEST || err->code == OCI_E_FORMAT;
}

/* Bytes that changed on the way are fetched once more, from scratch, and so are those that
 * do not go with what a run before has left. Damage that shows before the digest does may be
 * the blob's own: then it stays. */
static int unpack_layer(struct taking *t, struct oci_error *err)
{
	struct oci_error first = {0};
	bool resumed = t->ledger.trail.from.offset > 0;
	int rc = unpack(t, &first);

	/* A server that knows no ranges is OCI_E_UNSUPPORTED. */
	if (rc < 0 && resumed && (is_content(&first) || first.code == OCI_E_UNSUPPORTED)) {
		first = (struct oci_error){0};
		if (begin_anew(t, err) < 0)
			return -1;
		rc = unpack(t, &first);
	}
	if (rc == 0)
		return 0;
	if (is_content(&first)) {
		if (first.code == OCI_E_FORMAT && check_blob(t->job, t->i, err) < 0)
			return -1;
		return begin_anew(t, err) < 0 ? -1 : unpack(t, err);
	}
	*err = first;
	return -1;
}

/* Without digests of its files nothing of a layer can be proven again. */
static int open_ledger(struct taking *t, struct oci_error *err)
{
	if (!t->options.digests || is_shaped(t->job, t->i))
		return 0;
	t->options.ledger = &t->ledger;
	return oci_ledger_open(&t->key, &t->options, &t->job->unpacked[t->i], &t->ledger, err);
}

static int stage_layer(struct taking *t, struct oci_error *err)
{
	struct pull_job *p = t->job;
	const struct oci_descriptor *d = &p->image->manifest.layers[t->i];
	bool had_all;
	uint64_t had;
	int rc;

	if (open_ledger(t, err) < 0)
		return -1;
	had_all = t->ledger.whole;
	rc = had_all ? 0 : unpack_layer(t, err);
	if (t->ledger.whole || t->ledger.pointed > 0)
		atomic_store(&p->kept, true);
	if (rc < 0)
		return -1;
	oci_listing_sort(&p->unpacked[t->i].files);
	had = had_all ? d->size_bytes : t->ledger.trail.from.offset;
	atomic_fetch_add(&p->reused, had);
	atomic_fetch_add(&p->fetched, d->size_bytes - had);
	return 0;
}

static int take_layer(struct oci_worker *worker, size_t i, struct oci_error *err)
{
	struct pull_job *p = worker->ctx;
	const struct oci_descriptor *d = &p->image->manifest.layers[i];
	struct taking t = {.job = p,
		.i = i,
		.key = {p->stage, &p->image->descriptor.digest, d, p->tree, p->dest_dir},
		.options = pull_options(p, i, worker->failed),
		.ledger = OCI_LEDGER_NONE};
	char text[OCI_DIGEST_TEXT_MAX];
	int rc;

	if (!p->wanted[i])
		return 0;
	t.options.stage = p->stage;
	rc = stage_layer(&t, err);
	oci_ledger_close(&t.ledger);
	return rc < 0 ? oci_wrap(err, "layer %s", oci_digest_format(&d->digest, text)) : 0;
}

static uint64_t wanted_bytes(const struct pull_job *p)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < p->image->manifest.layer_count; i++)
		if (p->wanted[i])
			sum += p->image->manifest.layers[i].size_bytes;
	return sum;
}

/* As far as they are known before they are fetched. */
static uint64_t wanted_files(const struct pull_job *p)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < p->image->manifest.layer_count; i++) {
		const struct oci_block_index_layer *layer = &p->image->index.layers[p->image->layers[i].indexed];

		if (!p->wanted[i])
			continue;
		if (p->image->layers[i].use != OCI_USE_SHAPED) {
			sum++;
			continue;
		}
		for (size_t f = 0; f < layer->file_count; f++)
			sum += oci_filter_takes(&p->filter, p->image->index.files[layer->first_file + f].path);
	}
	return sum;
}

static int nothing_landed(const struct pull_job *p, struct oci_error *err)
{
	OCI_CLEANUP(oci_strings_clear) struct oci_strings seen = {0};
	char names[256] = "", shown[OCI_STR_ESCAPE_MAX];
	size_t used = 0;

	if (!oci_filter_is_empty(&p->filter))
		return oci_fail(err, OCI_E_NOT_FOUND, "no file matches --include and --exclude");
	for (size_t i = 0; i < p->image->manifest.layer_count; i++)
		for (size_t n = 0; n < p->unpacked[i].outside.count; n++) {
			const char *name = p->unpacked[i].outside.items[n];

			if (oci_strings_has(&seen, name) || used + strlen(name) * 4 + 2 >= sizeof names)
				continue;
			if (oci_strings_add(&seen, name, err) < 0)
				return -1;
			used += (size_t)snprintf(names + used, sizeof names - used, " %s",
				oci_str_escape(name, shown));
		}
	return oci_fail(err, OCI_E_UNSUPPORTED,
		"nothing below /%s in this image; at its top:%s (--root / lands all of it)", p->root,
		used ? names : " nothing");
}

/* Files of a layer that is there whole are proven by its digest; their
 * numbers go from the manifest's to the listing's. */
static int number_layers(const struct pull_job *p, struct oci_listing *listing, struct oci_error *err)
{
	size_t count = p->image->manifest.layer_count;
	oci_autofree size_t *numbers = calloc(count + 1, sizeof *numbers);

	if (!numbers)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < count; i++) {
		const struct oci_descriptor *d = &p->image->manifest.layers[i];

		numbers[i] = OCI_LISTING_NO_LAYER;
		if (!p->wanted[i] || p->digests[i])
			continue;
		numbers[i] = listing->layer_count;
		if (oci_listing_add_layer(listing, &d->digest, d->size_bytes, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < listing->count; i++)
		if (listing->files[i].layer != OCI_LISTING_NO_LAYER)
			listing->files[i].layer = numbers[listing->files[i].layer];
	return 0;
}

/* Digests that the index has recorded need no second hash. */
static void adopt_digests(const struct pull_job *p, struct oci_listing *listing)
{
	const struct oci_block_index *index = &p->image->index;

	for (size_t i = 0; i < index->file_count; i++) {
		struct oci_listing_file *file =
			(struct oci_listing_file *)oci_listing_find(listing, index->files[i].path);
		const struct oci_digest *layer = &index->layers[index->files[i].layer].digest;

		if (file && !file->digest.alg && file->layer != OCI_LISTING_NO_LAYER &&
			oci_digest_equal(layer, &p->image->manifest.layers[file->layer].digest))
			file->digest = index->files[i].digest;
	}
}

static int fetch(struct pull_job *p, struct oci_error *err)
{
	uint64_t bytes = wanted_bytes(p);

	if (p->room(p->ctx, bytes, err) < 0)
		return -1;
	oci_event_phase(p->observer, "pull", bytes, wanted_files(p));
	return oci_workers_run(p->jobs, p->image->manifest.layer_count, take_layer, p, p->cancel, err);
}

unsigned pull_jobs(unsigned jobs)
{
	unsigned cpus = oci_workers_cpus();

	if (jobs)
		return jobs;
	return cpus > JOBS_LEAST ? cpus : JOBS_LEAST;
}

unsigned pull_jobs_most(unsigned asked)
{
	unsigned most = 4 * oci_workers_cpus();

	if (asked)
		return asked;
	return most < JOBS_MOST ? most : JOBS_MOST;
}

void pull_clear(struct pull_job *p)
{
	for (size_t i = 0; p->unpacked && i < p->image->manifest.layer_count; i++)
		oci_unpacked_clear(&p->unpacked[i]);
	oci_strings_clear(&p->dirs);
	free(p->unpacked);
	free(p->merge);
	free(p->wanted);
	free(p->digests);
}

int pull_stream(struct pull_job *p, struct oci_listing *ret, struct oci_error *err)
{
	if (pull_decide(p, err) < 0 || fetch(p, err) < 0)
		return -1;
	if (oci_merge(p->merge, p->image->manifest.layer_count, p->root, ret, &p->dirs, err) < 0)
		return -1;
	if (ret->count == 0)
		return nothing_landed(p, err);
	adopt_digests(p, ret);
	return number_layers(p, ret, err);
}
