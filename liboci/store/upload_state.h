/* upload_state.h - what a killed process leaves for the next one: its upload
 *
 *     oci_upload_state_open(&state, dir, host, repository, &digest);
 *     oci_upload_state_load(&state, &session, err);   NULL when there is none
 *     oci_upload_state_save(&state, session);         after each accepted chunk
 *     oci_upload_state_remove(&state);                the blob is stored
 *     oci_upload_state_close(&state);
 *
 * One small JSON file of mode 0600 for each blob on its way,
 * "upload-<32 hex>.json", named by a hash of registry, repository and digest,
 * and written by rename, durably, so that it outlives a reboot; beside it a lock
 * that is held while the upload runs, so that two processes never feed one
 * session. A directory that cannot be made or written, and a blob that another
 * process is sending: the state then remembers nothing, and nothing fails.
 *
 * How far the upload came is not in it: the server knows better. Addresses
 * with a query other than distribution's `_state` (the server's own, sealed)
 * may hold a signature; they are not written down. Files older than 7 days, and
 * what a process has left that was killed while it wrote one, are removed when a
 * state is opened.
 */
#pragma once

#include "core/digest.h"

#define OCI_UPLOAD_STATE_NAME_MAX 64

struct oci_upload_state {
	int dir;  /* -1: remembers nothing */
	int lock;
	char name[OCI_UPLOAD_STATE_NAME_MAX], lock_name[OCI_UPLOAD_STATE_NAME_MAX];
};

/* $XDG_STATE_HOME/modelcar, or $HOME/.local/state/modelcar; NULL when neither
 * is an absolute path. The caller frees. */
char *oci_upload_state_default_dir(void);
/* Its descriptor; the directory and those above it are made (0700) when they are missing. -1, errno. */
int oci_upload_state_open_dir(const char *path);

/* `dir` is made when it is missing; NULL or "": remember nothing. */
void oci_upload_state_open(struct oci_upload_state *state, const char *dir, const char *host,
	const char *repository, const struct oci_digest *digest);
/* *ret, the caller's to free, is the address last saved, or NULL. */
int oci_upload_state_load(const struct oci_upload_state *state, char **ret, struct oci_error *err);
void oci_upload_state_save(const struct oci_upload_state *state, const char *session);
void oci_upload_state_remove(const struct oci_upload_state *state);
void oci_upload_state_close(struct oci_upload_state *state);

/* The digest of what is under way has become known: from now on it goes by that. */
void oci_upload_state_rename(struct oci_upload_state *state, const char *host, const char *repository,
	const struct oci_digest *digest);

/* The blob is stored already: what a killed process may have left goes. */
void oci_upload_state_forget(const char *dir, const char *host, const char *repository,
	const struct oci_digest *digest);
