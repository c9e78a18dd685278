#include "store/upload_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/temp.h"
#include "core/json.h"

#define STATE_PREFIX "upload-"
#define STATE_MAX (32 * OCI_KIB)
#define STATE_LIFE_S (7 * 24 * 3600)
#define NAME_BYTES 16

char *oci_upload_state_default_dir(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state && *state == '/')
		return oci_str_printf("%s/modelcar", state);
	return home && *home == '/' ? oci_str_printf("%s/.local/state/modelcar", home) : NULL;
}

/* opening */

int oci_upload_state_open_dir(const char *path)
{
	oci_autofree char *made = strdup(path);
	int dir = oci_fs_open_dir(path, NULL);

	if (dir >= 0 || !made)
		return dir;
	for (char *slash = strchr(made + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(made, 0700);
		*slash = '/';
	}
	mkdir(made, 0700);
	return oci_fs_open_dir(path, NULL);
}

/* A lock whose file was removed meanwhile guards nothing: somebody else's
 * upload has just ended, and this one goes without. */
static int take_lock(int dir, const char *name)
{
	int fd = oci_fs_open_beneath(dir, name, O_RDWR | O_CREAT, 0600, NULL);
	struct stat st;

	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0)
		return fd;
	close(fd);
	return -1;
}

static void choose_names(struct oci_upload_state *state, const char *host, const char *repository,
	const struct oci_digest *digest)
{
	char text[OCI_DIGEST_TEXT_MAX], hex[2 * NAME_BYTES + 1];
	struct oci_digest name;
	struct oci_hash hash;

	oci_digest_format(digest, text);
	oci_hash_init(&hash, OCI_SHA256);
	oci_hash_update(&hash, host, strlen(host) + 1);
	oci_hash_update(&hash, repository, strlen(repository) + 1);
	oci_hash_update(&hash, text, strlen(text));
	oci_hash_final(&hash, &name);
	oci_str_hex(name.bytes, NAME_BYTES, hex);
	snprintf(state->name, sizeof state->name, STATE_PREFIX "%s.json", hex);
	snprintf(state->lock_name, sizeof state->lock_name, STATE_PREFIX "%s.lock", hex);
}

void oci_upload_state_open(struct oci_upload_state *state, const char *dir, const char *host,
	const char *repository, const struct oci_digest *digest)
{
	*state = (struct oci_upload_state){.dir = -1, .lock = -1};
	if (!dir || !*dir)
		return;
	choose_names(state, host, repository, digest);
	state->dir = oci_upload_state_open_dir(dir);
	if (state->dir < 0)
		return;
	oci_fs_remove_old(state->dir, STATE_PREFIX, STATE_LIFE_S);
	oci_temp_sweep(state->dir, OCI_FS_TEMP_PREFIX);
	state->lock = take_lock(state->dir, state->lock_name);
	if (state->lock < 0) {
		close(state->dir);
		state->dir = -1;
	}
}

void oci_upload_state_close(struct oci_upload_state *state)
{
	if (state->dir < 0)
		return;
	if (faccessat(state->dir, state->name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		unlinkat(state->dir, state->lock_name, 0);
	close(state->lock);
	close(state->dir);
	*state = (struct oci_upload_state){.dir = -1, .lock = -1};
}

/* the file */

int oci_upload_state_load(const struct oci_upload_state *state, char **ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;

	*ret = NULL;
	oci_buf_init(&text, STATE_MAX);
	if (state->dir < 0 || oci_fs_read_file(state->dir, state->name, &text, NULL) < 0)
		return 0;
	doc = oci_json_parse(oci_buf_text(&text), text.len, &OCI_JSON_SMALL, NULL);
	return oci_str_set(ret, oci_json_text(doc, "session"), err);
}

static bool may_be_written(const char *session)
{
	const char *query = strchr(session, '?');

	return !query || (oci_str_starts(query, "?_state=") && !strchr(query, '&'));
}

void oci_upload_state_save(const struct oci_upload_state *state, const char *session)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	struct oci_json_writer w;

	if (state->dir < 0)
		return;
	oci_buf_init(&text, STATE_MAX);
	oci_json_begin(&w, &text);
	oci_json_object(&w, NULL);
	oci_json_put_text(&w, "session", session);
	oci_json_close(&w);
	/* an address that is not the newest is worse than none */
	if (!may_be_written(session) || oci_json_end(&w, NULL) < 0 ||
	    oci_fs_write_file(state->dir, state->name, text.data, text.len, 0600, true, NULL) < 0)
		oci_upload_state_remove(state);
}

void oci_upload_state_remove(const struct oci_upload_state *state)
{
	if (state->dir >= 0)
		unlinkat(state->dir, state->name, 0);
}

void oci_upload_state_rename(struct oci_upload_state *state, const char *host, const char *repository,
	const struct oci_digest *digest)
{
	struct oci_upload_state named = *state;

	if (state->dir < 0)
		return;
	choose_names(&named, host, repository, digest);
	named.lock = take_lock(named.dir, named.lock_name);
	if (named.lock < 0) {
		/* somebody else sends this very blob, and has the name */
		oci_upload_state_remove(state);
		oci_upload_state_close(state);
		return;
	}
	renameat(state->dir, state->name, named.dir, named.name);
	unlinkat(state->dir, state->lock_name, 0);
	close(state->lock);
	*state = named;
}

void oci_upload_state_forget(const char *dir, const char *host, const char *repository,
	const struct oci_digest *digest)
{
	struct oci_upload_state state = {0};
	oci_autoclose int fd = dir && *dir ? oci_fs_open_dir(dir, NULL) : -1;

	if (fd < 0)
		return;
	choose_names(&state, host, repository, digest);
	if (faccessat(fd, state.name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	    faccessat(fd, state.lock_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	oci_upload_state_open(&state, dir, host, repository, digest);
	oci_upload_state_remove(&state);
	oci_upload_state_close(&state);
}
