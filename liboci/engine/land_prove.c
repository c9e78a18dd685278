/* Files that lie in a directory already: are they what the plan wants? */
#include "engine/land_job.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"

struct proving {
	struct oci_land *land;
	int dir;
	unsigned char *pieces; /* one for each worker */
};

/* By its checkpoints, where it has a layer to itself. */
static int prove_blocks(const struct proving *p, struct land_hands *hands, const struct oci_plan_file *file, bool *ok,
	struct oci_error *err)
{
	const struct oci_plan_layer *layer = &p->land->plan->layers[file->layer];
	OCI_CLEANUP(land_local_clear) struct land_local local = {0};

	if (land_local_init(&local, p->land, layer, LAND_FROM_DIR, p->dir, err) < 0)
		return -1;
	*ok = true;
	for (uint64_t k = 0; *ok && k < oci_plan_block_count(layer); k++) {
		if (p->land->cancel && atomic_load(p->land->cancel))
			return oci_fail(err, OCI_E_CANCELLED, "cancelled");
		if (land_local_take(&local, hands, k, ok, err) < 0)
			return -1;
		oci_event_bytes(p->land->observer, oci_plan_block_length(layer, k));
	}
	return 0;
}

/* By its own digest. Without one it cannot be told from others of its size. */
static bool prove_digest(const struct proving *p, struct land_hands *hands, const struct oci_plan_file *file, int fd)
{
	struct oci_digest digest;
	struct oci_hash hash;
	uint64_t done = 0;

	if (file->file->size_bytes == 0)
		return true;
	if (!file->file->digest.alg)
		return false;
	oci_hash_init(&hash, file->file->digest.alg);
	while (done < file->file->size_bytes) {
		ssize_t got = oci_fs_pread_full(fd, hands->piece, hands->piece_bytes, done, NULL);

		if (got <= 0)
			return false;
		oci_hash_update(&hash, hands->piece, (size_t)got);
		done += (uint64_t)got;
	}
	oci_event_bytes(p->land->observer, done);
	oci_hash_final(&hash, &digest);
	return oci_digest_equal(&digest, &file->file->digest);
}

static int prove_file(struct oci_worker *worker, size_t i, struct oci_error *err)
{
	const struct proving *p = worker->ctx;
	struct oci_plan_file *file = &p->land->plan->files[i];
	OCI_CLEANUP(land_hands_clear) struct land_hands hands = {.fd = -1, .direct_fd = -1};
	oci_autoclose int fd = -1;
	struct stat st;
	bool ok = true;

	if (file->state != OCI_PLAN_WANTED)
		return 0;
	fd = oci_fs_open_beneath(p->dir, file->file->path, O_RDONLY | O_NONBLOCK, 0, NULL);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != file->file->size_bytes)
		return 0;
	land_hands_init(&hands, p->land, NULL, p->pieces + worker->number * land_piece_bytes(p->land));
	if (p->land->plan->layers[file->layer].indexed->file_count > 1)
		ok = prove_digest(p, &hands, file, fd);
	else if (prove_blocks(p, &hands, file, &ok, err) < 0)
		return -1;
	if (ok)
		file->state = OCI_PLAN_KEPT;
	return 0;
}

int oci_land_prove(struct oci_land *land, int dir, struct oci_error *err)
{
	oci_autofree unsigned char *pieces = land_pieces_new(land, land->jobs, err);
	struct proving p = {land, dir, pieces};

	if (!pieces)
		return -1;
	return oci_workers_run(land->jobs, land->plan->file_count, prove_file, &p, land->cancel, err);
}
