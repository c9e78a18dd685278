/* Images without an index: layers are unpacked as streams, and merged. */
#include "engine/pull_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
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
		snprintf(p->merge[i].name, sizeof p->merge[i].name, "layer-%zu", i);
	}
	return 0;
}

static struct oci_reader *open_layer(struct pull_job *p, size_t i, struct oci_error *err)
{
	const struct oci_image_layer *layer = &p->image->layers[i];
	const struct oci_descriptor plain = {.digest = layer->diff_id, .size_bytes = OCI_VERIFY_ANY_SIZE};
	struct oci_reader *reader = oci_store_fetch(p->store, &p->image->manifest.layers[i], err);

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
		.dir = -1,
		.root = tar ? "" : p->root,
		.strip = tar ? strip_of(layer) : NULL,
		.filter = p->filter,
		.digests = p->digests[i],
		.observer = p->observer,
		.cancel = p->cancel,
		.failed = failed,
		.name_bytes = &p->name_bytes,
	};
}

int pull_unpack(struct pull_job *p, size_t i, const struct oci_unpack_options *options,
	struct oci_error *err)
{
	const struct oci_image_layer *layer = &p->image->layers[i];
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = open_layer(p, i, err);

	if (!reader)
		return -1;
	if (layer->use == OCI_USE_SHAPED && strcmp(p->root, OCI_MODEL_ROOT) == 0)
		return unpack_shaped(p, i, reader, options, err);
	if (layer->use == OCI_USE_RAW)
		return oci_unpack_raw(reader, layer->path, options, &p->unpacked[i], err);
	return oci_unpack_tar_take(oci_steal(&reader), layer->use != OCI_USE_TAR, options, &p->unpacked[i], err);
}

/* Unpack into a directory of its own, which is made, or emptied of a try before. */
static int unpack_afresh(struct pull_job *p, size_t i, const atomic_bool *failed, struct oci_error *err)
{
	struct oci_unpack_options options = pull_options(p, i, failed);
	const char *name = p->merge[i].name;
	oci_autoclose int dir = -1;

	atomic_fetch_sub(&p->name_bytes, p->unpacked[i].name_bytes);
	oci_unpacked_clear(&p->unpacked[i]);
	if (oci_fs_remove_tree(p->stage->fd, name, err) < 0 ||
		oci_fs_mkdirs_beneath(p->stage->fd, name, 0700, err) < 0)
		return -1;
	dir = oci_fs_open_dir_beneath(p->stage->fd, name, err);
	if (dir < 0)
		return -1;
	options.dir = dir;
	return p->wanted[i] ? pull_unpack(p, i, &options, err) : 0;
}

static int check_blob(struct pull_job *p, size_t i, struct oci_error *err)
{
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader =
		oci_store_fetch(p->store, &p->image->manifest.layers[i], err);

	return reader ? oci_reader_drain(reader, err) : -1;
}

/* Bytes that changed on the way are fetched once more, from scratch. Damage that
 * shows before the digest does may be the blob's own: then it stays. */
static int unpack_layer(struct pull_job *p, size_t i, const atomic_bool *failed, struct oci_error *err)
{
	struct oci_error first = {0};

	if (unpack_afresh(p, i, failed, &first) == 0)
		return 0;
	if (first.code == OCI_E_DIGEST || first.code == OCI_E_FORMAT) {
		if (first.code == OCI_E_FORMAT && check_blob(p, i, err) < 0)
			return -1;
		return unpack_afresh(p, i, failed, err);
	}
	*err = first;
	return -1;
}

static int take_layer(struct oci_worker *worker, size_t i, struct oci_error *err)
{
	struct pull_job *p = worker->ctx;
	const struct oci_descriptor *d = &p->image->manifest.layers[i];
	char text[OCI_DIGEST_TEXT_MAX];

	if (unpack_layer(p, i, worker->failed, err) < 0)
		return oci_wrap(err, "layer %s", oci_digest_format(&d->digest, text));
	if (p->wanted[i])
		atomic_fetch_add(&p->fetched, d->size_bytes);
	return 0;
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

	if (oci_stage_check_space(p->stage, p->dest, bytes + OCI_STAGE_MARGIN_BYTES, err) < 0)
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
	free(p->unpacked);
	free(p->merge);
	free(p->wanted);
	free(p->digests);
}

int pull_stream(struct pull_job *p, struct oci_listing *ret, struct oci_error *err)
{
	if (pull_decide(p, err) < 0 || fetch(p, err) < 0)
		return -1;
	if (oci_merge(p->stage->fd, p->merge, p->image->manifest.layer_count, p->root, ret, err) < 0)
		return -1;
	if (ret->count == 0)
		return nothing_landed(p, err);
	adopt_digests(p, ret);
	return number_layers(p, ret, err);
}
