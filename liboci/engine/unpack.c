#include "engine/unpack.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "engine/ledger.h"
#include "engine/unpack_file.h"

#define CHUNK OCI_MIB
#define ENTRY_COST 256 /* memory beside the name: here, in the merged listing, in the record */
#define NAME_COPIES 3

/* Bytes that are not the blob's at all are for its digest to refuse. */
static int fail_shape(struct oci_reader *layer, struct oci_error *err)
{
	if (oci_reader_drain(layer, err) < 0)
		return -1;
	return oci_fail(err, OCI_E_FORMAT, "layer is not the tar that its index describes");
}

static int expect_bytes(struct oci_reader *layer, const struct oci_layer_segment *segment, char *chunk,
	struct oci_error *err)
{
	for (uint64_t done = 0; done < segment->length;) {
		size_t take = segment->length - done < CHUNK ? (size_t)(segment->length - done) : CHUNK;
		ssize_t n = oci_reader_read_full(layer, chunk, take, err);

		if (n < 0)
			return -1;
		if ((size_t)n < take)
			return oci_fail(err, OCI_E_FORMAT, "layer ends early");
		if (memcmp(chunk, (const char *)segment->bytes + done, take) != 0)
			return fail_shape(layer, err);
		done += take;
	}
	return 0;
}

static int skip_bytes(struct oci_reader *layer, uint64_t length, char *chunk,
	const struct oci_unpack_options *options, struct oci_error *err)
{
	for (uint64_t done = 0; done < length;) {
		size_t take = length - done < CHUNK ? (size_t)(length - done) : CHUNK;
		ssize_t n = oci_reader_read_full(layer, chunk, take, err);

		if (n < 0 || unpack_check(options, err) < 0)
			return -1;
		if ((size_t)n < take)
			return oci_fail(err, OCI_E_FORMAT, "layer ends early");
		oci_event_bytes(options->observer, take);
		done += take;
	}
	return 0;
}

static int place_file(struct oci_reader *layer, const struct oci_layer_file *from, size_t number, char *chunk,
	const struct oci_unpack_options *options, struct oci_unpacked *ret, struct oci_error *err)
{
	OCI_CLEANUP(unpack_file_clear) struct unpack_file file = UNPACK_FILE_NONE;

	if (!oci_filter_takes(&options->filter, from->path))
		return skip_bytes(layer, from->size_bytes, chunk, options, err);
	file.path = from->path;
	file.part.number = (uint32_t)number;
	file.size_bytes = from->size_bytes;
	if (unpack_file_begin(&file, options, ret, err) < 0 ||
		unpack_file_fill(&file, layer, from->size_bytes, chunk, err) < 0)
		return -1;
	return unpack_file_end(&file, err);
}

int oci_unpack_shaped(struct oci_reader *layer, const struct oci_layer_shape *shape,
	const struct oci_unpack_options *options, struct oci_unpacked *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_layer_walk_clear) struct oci_layer_walk walk;
	oci_autofree char *chunk = malloc(CHUNK);
	struct oci_layer_segment segment;
	int rc;

	oci_layer_walk_init(&walk, shape);
	if (!chunk)
		return oci_fail_nomem(err);
	while ((rc = oci_layer_walk_next(&walk, &segment, err)) > 0) {
		if (segment.bytes)
			rc = expect_bytes(layer, &segment, chunk, err);
		else
			rc = place_file(layer, &shape->files[segment.file], segment.file, chunk, options, ret, err);
		if (rc < 0)
			return -1;
	}
	return rc < 0 ? -1 : oci_reader_drain(layer, err);
}

int oci_unpack_raw(struct oci_reader *layer, const char *path, const struct oci_descriptor *blob,
	const struct oci_unpack_options *options, struct oci_unpacked *ret, struct oci_error *err)
{
	OCI_CLEANUP(unpack_file_clear) struct unpack_file file = {.fd = -1,
		.path = path,
		.size_bytes = blob->size_bytes,
		.proven = blob->digest.alg == OCI_SHA256 ? &blob->digest : NULL};
	oci_autofree char *chunk = malloc(CHUNK);
	bool begun = options->ledger && options->ledger->begun.path;
	ssize_t n;

	if (!chunk)
		return oci_fail_nomem(err);
	if ((begun ? unpack_file_resume : unpack_file_begin)(&file, options, ret, err) < 0)
		return -1;
	/* Whatever the size of the pieces: a reader that has ended is not asked again. */
	while ((n = oci_reader_read(layer, chunk, CHUNK, err)) > 0)
		if (unpack_check(options, err) < 0 || unpack_file_write(&file, chunk, (size_t)n, err) < 0)
			return -1;
	return n < 0 ? -1 : unpack_file_end(&file, err);
}

int oci_unpacked_add_link(struct oci_unpacked *u, const char *path, const char *target, bool symbolic,
	struct oci_error *err)
{
	struct oci_unpack_link *grown = reallocarray(u->links, u->link_count + 1, sizeof *grown), *link;

	if (!grown)
		return oci_fail_nomem(err);
	u->links = grown;
	link = &grown[u->link_count++];
	*link = (struct oci_unpack_link){strdup(path), strdup(target), symbolic};
	return link->path && link->target ? 0 : oci_fail_nomem(err);
}

int oci_unpack_charge(const struct oci_unpack_options *options, struct oci_unpacked *u, const char *path,
	const char *link, struct oci_error *err)
{
	unsigned long long cost = ENTRY_COST + NAME_COPIES * (strlen(path) + (link ? strlen(link) : 0));

	u->name_bytes += cost;
	if (options->name_bytes && atomic_fetch_add(options->name_bytes, cost) + cost > OCI_UNPACK_NAMES_MAX)
		return oci_fail(err, OCI_E_UNSUPPORTED, "its layers hold more names than fit into %zu MiB",
			OCI_UNPACK_NAMES_MAX / OCI_MIB);
	return 0;
}

void oci_unpacked_clear(struct oci_unpacked *u)
{
	for (size_t i = 0; i < u->link_count; i++) {
		free(u->links[i].path);
		free(u->links[i].target);
	}
	free(u->links);
	oci_listing_clear(&u->files);
	oci_strings_clear(&u->dirs);
	oci_strings_clear(&u->whiteouts);
	oci_strings_clear(&u->opaques);
	oci_strings_clear(&u->outside);
	*u = (struct oci_unpacked){0};
}
