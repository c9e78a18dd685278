/* place.h - where a tree is to appear: what lies there, and how it will be published
 *
 *     struct oci_place place = OCI_PLACE_NONE;
 *     oci_place_open("/data/model", &place, err);
 *     oci_place_holds(&place, &digest)             already there, unchanged?
 *     oci_place_decide(&place, &wish, err);
 *     place.mode, place.state, place.name          how, and where state lies meanwhile
 *     oci_place_clear(&place);
 *
 * The modes:
 * - FRESH: nothing is there; the tree appears by one rename.
 * - SWAP: an older tree of ours, in a directory that can be exchanged.
 * - IN_PLACE: a mount point, an empty directory (a pod may hold it open), or what
 *   the user wants so; and always a tree that is one Triton model, since in a
 *   repository no other directory may stand, not even for a moment. Files move in
 *   one by one while there is no record.
 *
 * A tree is ours by its record; while it is changed in place, by the records that
 * lie in the state meanwhile (spec/staging.md).
 */
#pragma once

#include "engine/record.h"
#include "engine/stage.h"

enum oci_publish { OCI_PUBLISH_AUTO, OCI_PUBLISH_VERSION, OCI_PUBLISH_SWAP, OCI_PUBLISH_IN_PLACE };
enum oci_place_mode { OCI_PLACE_FRESH, OCI_PLACE_SWAP, OCI_PLACE_IN_PLACE };

#define OCI_PLACE_RECORDS_MAX 8
#define OCI_PLACE_NONE ((struct oci_place){.parent = -1, .dir = -1, .state = -1})

struct oci_place {
	char *path;         /* as the user wrote it */
	int parent;         /* the directory that holds it */
	char *name;         /* in there */
	int dir;            /* itself; -1: absent */
	bool is_mount;
	bool has_record;    /* records[0] is the tree's; else those are of a change under way */
	bool beside;        /* its record lies beside it, or that of a change under way is to */
	ino_t false_inside, false_beside; /* what has a record's name there and is not this tree's; 0: nothing */
	struct oci_record records[OCI_PLACE_RECORDS_MAX]; /* what is known of the files in it */
	size_t record_count;
	bool has_versions; /* those of OCI_PUBLISH_VERSION, under a link */
	char stranger[OCI_STR_ESCAPE_MAX]; /* a file that no record knows; "": there is none */
	size_t entries;     /* files, links and empty directories in it that are not state */

	enum oci_place_mode mode;
	bool is_model;
	int state;              /* where state lies, a directory */
	const char *state_name; /* what the destination is called in its names */
};

/* A name at the top of a volume or tree that is nobody's model: our own state, "lost+found", ".snapshot". */
bool oci_place_is_apart(const char *name);

/* A directory that is to hold it must exist (OCI_E_NOT_FOUND). A link is followed. */
int oci_place_open(const char *path, struct oci_place *ret, struct oci_error *err);
/* Remove what false_inside and false_beside mean, unless another file is there by now. */
int oci_place_clean(const struct oci_place *place, struct oci_error *err);
/* Is there a whole tree of this image (by what the reference named)? By sizes and times. */
bool oci_place_holds(const struct oci_place *place, const struct oci_digest *root);
/* OCI_E_OCCUPIED already, whatever comes? For who is about to work long before he knows. */
int oci_place_check(const struct oci_place *place, bool adopt, struct oci_error *err);
struct oci_place_wish {
	enum oci_publish publish;
	bool is_model;                 /* oci_place_is_model() of the new tree */
	bool adopt;                    /* keep files that no pull put there, where they are right */
	bool look_only;                /* nothing is made; a place that is absent gets no state */
	const struct oci_digest *root; /* of the image that comes */
};
/* OCI_E_OCCUPIED where it may not be filled so; the text says what to do. */
int oci_place_decide(struct oci_place *place, const struct oci_place_wish *wish, struct oci_error *err);
/* What is known only when all is there: is it one Triton model? State stays where it is, and
 * the record goes there: beside the model, unless nothing could be put there. */
void oci_place_settle(struct oci_place *place, bool is_model);
void oci_place_clear(struct oci_place *place);

/* The record of the tree at `path`, as oci_record_find(); where a publication in place was cut short, that which
 * the tree had, and is to have. */
int oci_place_find_record(const char *path, struct oci_record *ret, struct oci_error *err);

const char *oci_place_mode_name(enum oci_place_mode mode);
/* Is a tree of these files one Triton model: a config.pbtxt or a version with a
 * model at its top? */
bool oci_place_is_model(const struct oci_listing *files);
