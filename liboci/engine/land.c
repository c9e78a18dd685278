#include "engine/land.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "engine/land_job.h"
#include "engine/pack_store.h"
#include "store/ops.h"

#define RANGE_BLOCKS 16 /* 64 MiB a request */

/* A run of blocks of one layer. */
struct range {
	size_t layer;
	uint64_t first;
	unsigned count;
};

struct landing {
	struct oci_land *land;
	struct oci_digest_pool pool;
	struct oci_flow flow;
	unsigned char *pieces; /* one for each worker */
	struct range *ranges;
	size_t count;
};

static uint64_t mark_of(const struct oci_plan_layer *layer, uint64_t k)
{
	return layer->indexed->first + k;
}

/* Is there work to do for block `k`? */
static bool is_open(const struct oci_land *land, const struct oci_plan_layer *layer, uint64_t k)
{
	return oci_journal_get(land->journal, mark_of(layer, k)) != OCI_MARK_DONE &&
		oci_plan_block_wanted(land->plan, layer, k);
}

uint64_t oci_land_missing(const struct oci_land *land)
{
	uint64_t sum = 0;

	for (size_t l = 0; l < land->plan->layer_count; l++) {
		const struct oci_plan_layer *layer = &land->plan->layers[l];

		for (uint64_t k = 0; k < oci_plan_block_count(layer); k++)
			if (is_open(land, layer, k))
				sum += oci_plan_block_length(layer, k);
	}
	return sum;
}

/* parts */

/* What marks say of a part that is not there counts no longer. */
static int forget(const struct oci_land *land, const struct oci_plan_file *file, struct oci_error *err)
{
	const struct oci_plan_layer *layer = &land->plan->layers[file->layer];
	uint64_t begin = file->file->offset - layer->indexed->start;
	uint64_t end = begin + file->file->size_bytes;

	for (uint64_t k = begin / OCI_BLOCK_BYTES; k * OCI_BLOCK_BYTES < end; k++)
		if (oci_journal_get(land->journal, mark_of(layer, k)) != OCI_MARK_NONE &&
			oci_journal_unset(land->journal, mark_of(layer, k), err) < 0)
			return -1;
	return 0;
}

/* A file that may have the part's bytes: the very one that is pulled, or an old one. */
static int open_twin(const struct oci_land *land, const struct oci_plan_file *file)
{
	int fd = land->files ? oci_pack_store_open_file(land->files, file->file->path, NULL) : -1;

	if (fd >= 0 || file->tree < 0)
		return fd;
	return oci_fs_open_beneath(file->tree, file->tree_path, O_RDONLY | O_NONBLOCK, 0, NULL);
}

/* A file system that shares extents gives the old bytes for nothing: the journal
 * then claims them, and they are proven where they lie. */
static int clone_old(const struct oci_land *land, const struct oci_plan_file *file, int part, struct oci_error *err)
{
	const struct oci_plan_layer *layer = &land->plan->layers[file->layer];
	oci_autoclose int from = -1;

	if (layer->indexed->file_count != 1)
		return 0;
	from = open_twin(land, file);
	if (from < 0 || ioctl(part, FICLONE, from) < 0)
		return 0;
	if (ftruncate(part, (off_t)file->file->size_bytes) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "its size");
	for (uint64_t k = 0; k < oci_plan_block_count(layer); k++)
		oci_journal_claim(land->journal, mark_of(layer, k));
	return 0;
}

static int make_part(const struct oci_land *land, size_t number, struct oci_error *err)
{
	const struct oci_plan_file *file = &land->plan->files[number];
	bool had = false;
	oci_autoclose int fd = -1;

	if (oci_lease_check_time(land->lease, err) < 0)
		return -1;
	fd = oci_stage_part(land->stage, number, file->file->path, file->file->size_bytes, &had, err);
	if (fd < 0 || (!had && (forget(land, file, err) < 0 || clone_old(land, file, fd, err) < 0))) {
		oci_wrap(err, "file '%s'", file->file->path);
		return oci_fail_side(err, OCI_SIDE_DEST);
	}
	return 0;
}

/* ranges */

static int add_range(struct landing *work, size_t layer, uint64_t first, unsigned count, struct oci_error *err)
{
	if ((work->count & (work->count + 1)) == 0) { /* grows at 0, 1, 3, 7, ... */
		struct range *grown = reallocarray(work->ranges, 2 * work->count + 2, sizeof *grown);

		if (!grown)
			return oci_fail_nomem(err);
		work->ranges = grown;
	}
	work->ranges[work->count++] = (struct range){layer, first, count};
	return 0;
}

/* The next range of a layer from block *k on; false when it has no more. */
static bool next_range(const struct oci_land *land, size_t l, uint64_t *k, struct range *ret)
{
	const struct oci_plan_layer *layer = &land->plan->layers[l];
	uint64_t blocks = oci_plan_block_count(layer);

	while (*k < blocks && !is_open(land, layer, *k))
		++*k;
	*ret = (struct range){.layer = l, .first = *k};
	while (*k < blocks && ret->count < RANGE_BLOCKS && is_open(land, layer, *k)) {
		ret->count++;
		++*k;
	}
	return ret->count > 0;
}

/* One range of each layer in turn: while several files are under way, each has
 * one writer, which is what file systems like best. */
static int make_ranges(struct landing *work, struct oci_error *err)
{
	const struct oci_land *land = work->land;
	oci_autofree uint64_t *next = calloc(land->plan->layer_count + 1, sizeof *next);
	bool more = true;

	if (!next)
		return oci_fail_nomem(err);
	while (more) {
		more = false;
		for (size_t l = 0; l < land->plan->layer_count; l++) {
			struct range range;

			if (!next_range(land, l, &next[l], &range))
				continue;
			more = true;
			if (add_range(work, l, range.first, range.count, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* one range */

static int finish_block(struct oci_land *land, const struct oci_plan_layer *layer, uint64_t k, atomic_ullong *counter,
	struct oci_error *err)
{
	size_t length = oci_plan_block_length(layer, k);

	if (oci_journal_set(land->journal, mark_of(layer, k), err) < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	atomic_fetch_add(counter, length);
	oci_event_bytes(land->observer, length);
	return 0;
}

static void tell_flow(const struct land_hands *hands, uint64_t bytes)
{
	struct oci_store *store = hands->land->store;
	uint64_t now_ms = oci_clock_ms();

	oci_flow_moved(hands->flow, bytes, now_ms);
	if (store->ops->failures)
		oci_flow_failed(hands->flow, store->ops->failures(store), now_ms);
}

/* 1: these bytes are not the block's. */
static int fetch_block(struct land_hands *hands, const struct oci_worker *worker, struct oci_reader *reader,
	const struct oci_plan_layer *layer, uint64_t k, struct oci_error *err)
{
	struct oci_land *land = (struct oci_land *)hands->land;
	struct land_check check;

	land_check_init(&check, land->plan, layer, k);
	while (check.done < check.length) {
		size_t want = check.length - check.done < hands->piece_bytes ? check.length - check.done : hands->piece_bytes;
		uint64_t at = oci_plan_block_offset(layer, k) + check.done;
		ssize_t got = oci_reader_read_full(reader, hands->piece, want, err);

		if (got < 0)
			return oci_fail_side(err, OCI_SIDE_SOURCE);
		if (oci_worker_stopped(worker))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled");
		if ((size_t)got < want)
			return 1;
		land_check_update(&check, hands->pool, hands->piece, want);
		if (land_put(hands, layer, at, hands->piece, want, err) < 0)
			return -1;
	}
	if (!check.ok)
		return 1;
	tell_flow(hands, check.length);
	return finish_block(land, layer, k, &land->fetched, err);
}

static int fail_block(const struct oci_plan_layer *layer, uint64_t k, struct oci_error *err)
{
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_fail(err, OCI_E_DIGEST, "layer %s: bytes from %llu on are not what the index says, twice",
		oci_digest_format(&layer->blob->digest, digest), (unsigned long long)oci_plan_block_offset(layer, k));
	return oci_fail_side(err, OCI_SIDE_SOURCE);
}

/* Blocks [first, end) by one request, and by more where it gave wrong bytes. */
static int fetch_run(struct land_hands *hands, const struct oci_worker *worker, const struct oci_plan_layer *layer,
	uint64_t first, uint64_t end, struct oci_error *err)
{
	const struct oci_land *land = hands->land;
	uint64_t stop = oci_plan_block_offset(layer, end - 1) + oci_plan_block_length(layer, end - 1);
	OCI_CLEANUP(oci_reader_cleanup) struct oci_reader *reader = NULL;
	uint64_t distrusted = UINT64_MAX;

	for (uint64_t k = first; k < end;) {
		uint64_t offset = oci_plan_block_offset(layer, k);
		int rc;

		if (!reader)
			reader = oci_store_extent(land->store, layer->blob, offset, stop - offset, err);
		if (!reader)
			return oci_fail_side(err, OCI_SIDE_SOURCE);
		rc = fetch_block(hands, worker, reader, layer, k, err);
		if (rc < 0)
			return -1;
		if (rc == 0) {
			k++;
			continue;
		}
		if (distrusted == k)
			return fail_block(layer, k, err);
		distrusted = k;
		oci_store_distrust(land->store, layer->blob);
		oci_reader_close(oci_steal(&reader));
	}
	return 0;
}

/* Is this block at hand? First the part itself, where that is claimed, then the candidates. */
static int take_local(struct land_hands *hands, struct land_local *part, struct land_local *tree,
	const struct oci_plan_layer *layer, uint64_t k, bool *took, struct oci_error *err)
{
	struct oci_land *land = (struct oci_land *)hands->land;

	*took = false;
	if (oci_journal_get(land->journal, mark_of(layer, k)) == OCI_MARK_CLAIMED &&
		land_local_take(part, hands, k, took, err) < 0)
		return -1;
	if (!*took && land_local_take(tree, hands, k, took, err) < 0)
		return -1;
	return *took ? finish_block(land, layer, k, &land->reused, err) : 0;
}

/* Starts the write-back of what is there: the fsync at the end finds little to do. */
static void push_out(const struct land_hands *hands)
{
	if (hands->fd >= 0)
		(void)sync_file_range(hands->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int take_range(struct land_hands *hands, const struct oci_worker *worker, const struct range *range,
	struct oci_error *err)
{
	const struct oci_land *land = hands->land;
	const struct oci_plan_layer *layer = &land->plan->layers[range->layer];
	OCI_CLEANUP(land_local_clear) struct land_local part = {0}, tree = {0};
	uint64_t end = range->first + range->count, missing = range->first;

	if (land_local_init(&part, land, layer, LAND_FROM_PART, -1, err) < 0 ||
		land_local_init(&tree, land, layer, LAND_FROM_TREE, -1, err) < 0)
		return -1;
	for (uint64_t k = range->first; k < end; k++) {
		bool took;

		if (oci_worker_stopped(worker))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled");
		if (take_local(hands, &part, &tree, layer, k, &took, err) < 0)
			return -1;
		if (!took)
			continue;
		if (missing < k && fetch_run(hands, worker, layer, missing, k, err) < 0)
			return -1;
		missing = k + 1;
	}
	if (missing < end && fetch_run(hands, worker, layer, missing, end, err) < 0)
		return -1;
	push_out(hands);
	return 0;
}

static int run_range(struct oci_worker *worker, size_t i, struct oci_error *err)
{
	struct landing *work = worker->ctx;
	struct land_hands hands;
	int rc;

	if (!oci_flow_enter(&work->flow, worker))
		return oci_fail(err, OCI_E_CANCELLED, "cancelled");
	land_hands_init(&hands, work->land, &work->pool, work->pieces + worker->number * land_piece_bytes(work->land));
	hands.flow = &work->flow;
	rc = take_range(&hands, worker, &work->ranges[i], err);
	land_hands_clear(&hands);
	oci_flow_leave(&work->flow);
	return rc;
}

int oci_land_run(struct oci_land *land, struct oci_error *err)
{
	struct landing work = {.land = land};
	oci_autofree struct range *ranges = NULL;
	int rc;

	for (size_t f = 0; f < land->plan->file_count; f++)
		if (land->plan->files[f].state == OCI_PLAN_WANTED && make_part(land, f, err) < 0)
			return -1;
	rc = make_ranges(&work, err);
	ranges = work.ranges;
	if (rc < 0)
		return -1;
	oci_autofree unsigned char *pieces = work.pieces = land_pieces_new(land, land_workers(land), err);
	if (!pieces)
		return -1;
	oci_digest_pool_init(&work.pool, OCI_DIGEST_POOL_LANES, OCI_DIGEST_POOL_WAIT_MS);
	oci_flow_init(&work.flow, land->jobs, land_workers(land));
	rc = oci_workers_run(land_workers(land), work.count, run_range, &work, land->cancel, err);
	oci_flow_clear(&work.flow);
	oci_digest_pool_clear(&work.pool);
	return rc;
}
