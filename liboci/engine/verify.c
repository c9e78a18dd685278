#include "engine/verify.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/workers.h"
#include "engine/place.h"
#include "engine/record.h"
#include "engine/scan.h"
#include "source/resolve.h"

/* One thing to hash: a layer of the wanted listing, or a file by itself. */
struct item {
	bool is_layer;
	size_t number;
};

struct verifying {
	int dir;
	bool follows;                   /* links to files stand for them */
	int boundary;                   /* where they may lead */
	char *boundary_path;            /* of `dir` below it */
	const struct oci_listing *want;
	struct oci_listing have;        /* of the directory, by lstat */
	struct oci_digest *digests;     /* of the files in `want` that were hashed alone */
	bool *proven;                   /* files of `want` */
	struct item *items;
	size_t item_count;
	const struct oci_observer *observer;
	struct oci_scan scan;
	atomic_ullong bytes;
};

static bool has_record(int dir)
{
	return faccessat(dir, OCI_RECORD_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A pull leaves links only where the image has them. What something else has
 * filled may hold links in place of files, as a Hugging Face cache does. */
static int open_tree(struct verifying *v, const char *path, struct oci_error *err)
{
	v->boundary = -1;
	v->dir = oci_fs_open_dir(path, err);
	if (v->dir < 0)
		return -1;
	v->follows = !has_record(v->dir);
	return v->follows ? oci_resolve_boundary(v->dir, &v->boundary, &v->boundary_path, err) : 0;
}

/* Say of a link what is known of the file that it leads to, if it does. */
static int follow(const struct verifying *v, struct oci_listing_file *link, struct oci_error *err)
{
	bool wider = v->boundary >= 0;
	oci_autofree char *path = oci_str_printf("%s%s%s", wider ? v->boundary_path : "", wider ? "/" : "",
		link->path);
	char target[PATH_MAX];
	struct stat st;

	if (!path)
		return oci_fail_nomem(err);
	if (oci_resolve(wider ? v->boundary : v->dir, path, target, &st, NULL) < 0 || !S_ISREG(st.st_mode))
		return 0;
	link->size_bytes = (uint64_t)st.st_size;
	link->mode = st.st_mode & 0777;
	return oci_str_set(&link->target, target, err);
}

static int list_entry(void *ctx, const char *path, const struct stat *st, struct oci_error *err)
{
	struct verifying *v = ctx;
	struct oci_listing_file *file;

	if (!strchr(path, '/') && oci_place_is_apart(path))
		return 1;
	if (S_ISDIR(st->st_mode))
		return 0;
	file = oci_listing_add(&v->have, path, err);
	if (!file)
		return -1;
	file->size_bytes = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	file->mode = st->st_mode & 0777;
	file->special = !S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode);
	if (!S_ISLNK(st->st_mode))
		return 0;
	if (oci_fs_read_link(v->dir, path, &file->link, err) < 0)
		return -1;
	return v->follows ? follow(v, file, err) : 0;
}

static int list_dir(struct verifying *v, const char *path, struct oci_error *err)
{
	if (open_tree(v, path, err) < 0 || oci_fs_walk(v->dir, list_entry, v, err) < 0)
		return -1;
	oci_listing_sort(&v->have);
	return 0;
}

/* Neither the path nor where its link leads has a link left in it. */
static int open_file(const struct verifying *v, const char *path, struct oci_error *err)
{
	const struct oci_listing_file *have = oci_listing_find(&v->have, path);
	const char *target = have ? have->target : NULL;
	int dir = target && v->boundary >= 0 ? v->boundary : v->dir;

	return oci_fs_open_beneath(dir, target ? target : path, O_RDONLY | O_NONBLOCK, 0, err);
}

/* As far as it goes, which may be another size than the one it should have. */
static int hash_bytes(struct verifying *v, const struct oci_worker *worker, int fd, uint64_t size,
	struct oci_hash *hash, struct oci_error *err)
{
	oci_autofree char *chunk = malloc(v->scan.chunk_bytes);
	uint64_t done = 0;

	if (!chunk)
		return oci_fail_nomem(err);
	for (;;) {
		ssize_t n = oci_fs_pread_full(fd, chunk, v->scan.chunk_bytes, done, err);

		if (n < 0)
			return -1;
		if (oci_worker_stopped(worker))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled");
		oci_digest_pool_update(&v->scan.pool, hash, chunk, (size_t)n);
		oci_event_bytes(v->observer, (uint64_t)n);
		done += (uint64_t)n;
		if (done >= size || n == 0)
			break;
	}
	atomic_fetch_add(&v->bytes, done);
	return 0;
}

static int hash_file(struct verifying *v, const struct oci_worker *worker, const char *path, uint64_t size,
	struct oci_digest *ret, struct oci_error *err)
{
	oci_autoclose int fd = open_file(v, path, err);
	struct oci_hash hash;
	int rc;

	if (fd < 0)
		return -1;
	oci_hash_init(&hash, OCI_SHA256);
	oci_digest_pool_join(&v->scan.pool);
	rc = hash_bytes(v, worker, fd, size, &hash, err);
	oci_digest_pool_leave(&v->scan.pool);
	if (rc < 0)
		return oci_wrap(err, "file '%s'", path);
	oci_hash_final(&hash, ret);
	return 0;
}

struct layer_files {
	struct verifying *v;
	const struct oci_layer_file *files;
};

static int open_layer_file(void *ctx, size_t file, struct oci_error *err)
{
	const struct layer_files *from = ctx;

	return open_file(from->v, from->files[file].path, err);
}

static int hash_stream(struct verifying *v, const struct oci_worker *worker, struct oci_reader *reader,
	struct oci_digest *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_block_index_tape_clear) struct oci_block_index_tape tape;

	oci_block_index_tape_init(&tape, OCI_BLOCK_INDEX_NO_START);
	if (oci_scan_stream(&v->scan, worker, reader, &tape, err) < 0)
		return -1;
	atomic_fetch_add(&v->bytes, tape.done);
	oci_block_index_tape_final(&tape, ret);
	return 0;
}

/* A file that is there with its size, so that its layer can be rebuilt. */
static bool is_there(const struct verifying *v, const struct oci_listing_file *want)
{
	const struct oci_listing_file *have = oci_listing_find(&v->have, want->path);

	return have && oci_listing_is_file(have) && have->size_bytes == want->size_bytes;
}

/* What a layer does not prove is hashed file by file, as far as digests are known. */
static int verify_files(struct verifying *v, const struct oci_worker *worker, const size_t *numbers, size_t count,
	struct oci_error *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct oci_listing_file *file = &v->want->files[numbers[i]];

		oci_event_done(v->observer, file->path, file->size_bytes, "verified");
		if (!file->digest.alg || !is_there(v, file))
			continue;
		if (hash_file(v, worker, file->path, file->size_bytes, &v->digests[numbers[i]], err) < 0)
			return -1;
		v->proven[numbers[i]] = oci_digest_equal(&v->digests[numbers[i]], &file->digest);
	}
	return 0;
}

static int verify_layer(struct verifying *v, const struct oci_worker *worker, size_t layer, struct oci_error *err)
{
	oci_autofree struct oci_layer_file *files = NULL;
	oci_autofree size_t *numbers = NULL;
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = NULL;
	struct layer_files from = {.v = v};
	struct oci_layer_source source = {.open = open_layer_file, .ctx = &from};
	struct oci_layer_shape shape;
	struct oci_digest digest;

	if (oci_listing_shape(v->want, layer, &shape, &files, &numbers, err) < 0)
		return -1;
	from.files = files;
	for (size_t i = 0; i < shape.count; i++)
		if (!is_there(v, &v->want->files[numbers[i]]))
			return verify_files(v, worker, numbers, shape.count, err);
	reader = oci_layer_reader(&shape, &source, 0, err);
	if (!reader || hash_stream(v, worker, reader, &digest, err) < 0)
		return -1;
	if (!oci_digest_equal(&digest, &v->want->layers[layer].digest))
		return verify_files(v, worker, numbers, shape.count, err);
	for (size_t i = 0; i < shape.count; i++) {
		v->proven[numbers[i]] = true;
		oci_event_done(v->observer, files[i].path, files[i].size_bytes, "verified");
	}
	return 0;
}

static int verify_item(struct oci_worker *worker, size_t i, struct oci_error *err)
{
	struct verifying *v = worker->ctx;
	const struct item *item = &v->items[i];

	if (item->is_layer)
		return verify_layer(v, worker, item->number, err);
	return verify_files(v, worker, &item->number, 1, err);
}

static int plan_items(struct verifying *v, struct oci_error *err)
{
	v->items = calloc(v->want->layer_count + v->want->count + 1, sizeof *v->items);
	v->digests = calloc(v->want->count + 1, sizeof *v->digests);
	v->proven = calloc(v->want->count + 1, sizeof *v->proven);
	if (!v->items || !v->digests || !v->proven)
		return oci_fail_nomem(err);
	for (size_t i = 0; i < v->want->layer_count; i++)
		v->items[v->item_count++] = (struct item){true, i};
	for (size_t i = 0; i < v->want->count; i++)
		if (v->want->files[i].layer == OCI_LISTING_NO_LAYER && !v->want->files[i].link)
			v->items[v->item_count++] = (struct item){false, i};
	return 0;
}

/* A link is right when its target is; a file when its bytes were proven. */
static bool is_right(const struct verifying *v, size_t i, const struct oci_listing_file *have)
{
	const struct oci_listing_file *want = &v->want->files[i];

	if (want->link)
		return have->link && strcmp(have->link, want->link) == 0;
	return v->proven[i];
}

static int report(const struct verifying *v, struct oci_differences *ret, struct oci_error *err)
{
	for (size_t i = 0; i < v->want->count; i++) {
		const struct oci_listing_file *want = &v->want->files[i];
		const struct oci_listing_file *have = oci_listing_find(&v->have, want->path);
		int rc = 0;

		if (!have)
			rc = oci_differences_add(ret, OCI_REMOVED, want->path, want->size_bytes, 0, err);
		else if (!is_right(v, i, have))
			rc = oci_differences_add(ret, OCI_CHANGED, want->path, want->size_bytes,
				have->size_bytes, err);
		if (rc < 0)
			return -1;
	}
	for (size_t i = 0; i < v->have.count; i++)
		if (!oci_listing_find(v->want, v->have.files[i].path) &&
			oci_differences_add(ret, OCI_ADDED, v->have.files[i].path, 0,
				v->have.files[i].size_bytes, err) < 0)
			return -1;
	oci_differences_sort(ret);
	return 0;
}

static void clear(struct verifying *v)
{
	oci_cleanup_close(&v->dir);
	oci_cleanup_close(&v->boundary);
	free(v->boundary_path);
	oci_listing_clear(&v->have);
	free(v->digests);
	free(v->proven);
	free(v->items);
	oci_scan_clear(&v->scan);
}

static uint64_t total_bytes(const struct oci_listing *l)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < l->count; i++)
		sum += l->files[i].size_bytes;
	return sum;
}

int oci_verify_tree(const char *path, const struct oci_listing *want, unsigned jobs,
	const struct oci_observer *observer, const atomic_int *cancel, struct oci_verify_report *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(clear) struct verifying v = {
		.dir = -1, .boundary = -1, .want = want, .observer = observer};

	oci_scan_init(&v.scan, jobs, observer);
	if (list_dir(&v, path, err) < 0 || plan_items(&v, err) < 0)
		return -1;
	oci_event_phase(observer, "verify", total_bytes(want), want->count);
	if (oci_workers_run(v.scan.threads, v.item_count, verify_item, &v, cancel, err) < 0)
		return -1;
	ret->file_count = want->count;
	ret->bytes = atomic_load(&v.bytes);
	return report(&v, &ret->differences, err);
}

static int hash_listed(struct oci_worker *worker, size_t i, struct oci_error *err)
{
	struct verifying *v = worker->ctx;
	struct oci_listing_file *file = &v->have.files[i];

	if (!oci_listing_is_file(file))
		return 0;
	return hash_file(v, worker, file->path, file->size_bytes, &file->digest, err);
}

int oci_verify_list(const char *path, bool digests, unsigned jobs, const struct oci_observer *observer,
	const atomic_int *cancel, struct oci_listing *ret, struct oci_error *err)
{
	OCI_CLEANUP(clear) struct verifying v = {.dir = -1, .boundary = -1, .observer = observer};

	oci_scan_init(&v.scan, jobs, observer);
	if (list_dir(&v, path, err) < 0)
		return -1;
	if (digests) {
		oci_event_phase(observer, "hash", total_bytes(&v.have), v.have.count);
		if (oci_workers_run(v.scan.threads, v.have.count, hash_listed, &v, cancel, err) < 0)
			return -1;
	}
	*ret = v.have;
	v.have = (struct oci_listing){0};
	return 0;
}

void oci_verify_report_clear(struct oci_verify_report *report)
{
	oci_differences_clear(&report->differences);
	*report = (struct oci_verify_report){0};
}
