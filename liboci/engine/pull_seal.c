/* Parts become files: mode, time, fsync. */
#include "engine/pull_tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/workers.h"

#define CHUNK OCI_MIB
#define JOBS 16 /* they wait for the disk, which takes many at once */

struct sealing {
	const struct pull_tree *tree;
	const struct oci_block_plan *plan;
	int64_t *mtimes_ns;
	struct oci_digest *digests;
};

mode_t pull_file_mode(const struct oci_pull_options *options)
{
	return options->seal ? 0444 : 0664;
}

static int open_file(const struct sealing *s, size_t i, struct oci_error *err)
{
	const struct oci_plan_file *file = &s->plan->files[i];
	const struct oci_stage *stage = &s->tree->stage;
	char room[OCI_STAGE_NAME_MAX];

	if (file->state == OCI_PLAN_KEPT)
		return oci_fs_open_beneath(s->tree->place.dir, file->file->path, O_RDONLY | O_NONBLOCK, 0, err);
	return oci_fs_open_beneath(stage->tree, oci_stage_part_name(stage, i, file->file->path, room), O_RDONLY, 0, err);
}

static int hash_file(const struct oci_worker *worker, int fd, struct oci_digest *ret, struct oci_error *err)
{
	oci_autofree char *chunk = malloc(CHUNK);
	struct oci_hash hash;
	uint64_t done = 0;
	ssize_t got;

	if (!chunk)
		return oci_fail_nomem(err);
	oci_hash_init(&hash, OCI_SHA256);
	while ((got = oci_fs_pread_full(fd, chunk, CHUNK, done, err)) > 0) {
		if (oci_worker_stopped(worker))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled");
		oci_hash_update(&hash, chunk, (size_t)got);
		done += (uint64_t)got;
	}
	oci_hash_final(&hash, ret);
	return got < 0 ? -1 : 0;
}

static int seal_file(struct oci_worker *worker, size_t i, struct oci_error *err)
{
	const struct sealing *s = worker->ctx;
	const struct oci_plan_file *file = &s->plan->files[i];
	oci_autoclose int fd = -1;
	struct stat st;

	if (oci_lease_check_time(s->tree->lease, err) < 0)
		return -1;
	fd = open_file(s, i, err);
	if (fd < 0)
		return oci_fail_side(err, OCI_SIDE_DEST);
	s->digests[i] = file->file->digest;
	if (!file->file->digest.alg && !s->plan->layers[file->layer].whole &&
		hash_file(worker, fd, &s->digests[i], err) < 0)
		return oci_wrap(err, "file '%s'", file->file->path);
	if (file->state == OCI_PLAN_WANTED && fchmod(fd, pull_file_mode(s->tree->options)) < 0) {
		oci_fail_sys(err, errno, OCI_E_IO, "file '%s'", file->file->path);
		return oci_fail_side(err, OCI_SIDE_DEST);
	}
	if (file->state == OCI_PLAN_WANTED && oci_fs_sync(fd, err) < 0) {
		oci_wrap(err, "file '%s'", file->file->path);
		return oci_fail_side(err, OCI_SIDE_DEST);
	}
	if (fstat(fd, &st) < 0)
		return oci_fail_sys(err, errno, OCI_E_IO, "file '%s'", file->file->path);
	s->mtimes_ns[i] = oci_clock_stamp_ns(&st.st_mtim);
	oci_event_done(s->tree->options->observer, file->file->path, file->file->size_bytes,
		file->state == OCI_PLAN_WANTED ? "landed" : file->state == OCI_PLAN_LINKED ? "linked" : "kept");
	return 0;
}

int pull_seal(const struct pull_tree *t, const struct oci_block_plan *plan, int64_t *mtimes_ns, struct oci_digest *digests,
	struct oci_error *err)
{
	struct sealing s = {t, plan, mtimes_ns, digests};

	return oci_workers_run(t->jobs > JOBS ? t->jobs : JOBS, plan->file_count, seal_file, &s, t->options->cancel, err);
}
