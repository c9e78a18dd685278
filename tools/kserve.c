#include "kserve.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "core/json.h"

#define DOCKER_CONFIG_FILE "/mnt/oci-fetch-auth/config.json"
#define CA_DIR "/etc/ssl/custom-certs"
#define CA_NAME "cabundle.crt"
#define FETCH "oci+fetch://"
#define ARTIFACT "oci-artifact://" /* ours, where KServe keeps oci:// for itself */
#define IMAGE "oci://"
#define BLANKS " \t\r\n"

/* NULL when it is not there or empty. */
static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* credentials and certificates */

static int add_file(struct oci_strings *list, const char *path, struct oci_error *err)
{
	return path && access(path, F_OK) == 0 && !oci_strings_has(list, path) ? oci_strings_add(list, path, err) : 0;
}

static int read_credentials(struct kserve *k, struct oci_error *err)
{
	const char *mounted = variable("KSERVE_OCI_DOCKER_CONFIG"), *docker = variable("DOCKER_CONFIG");
	oci_autofree char *docker_file = docker ? oci_str_printf("%s/config.json", docker) : NULL;

	if (docker && !docker_file)
		return oci_fail_nomem(err);
	if (add_file(&k->authfiles, mounted ? mounted : DOCKER_CONFIG_FILE, err) < 0 ||
		add_file(&k->authfiles, variable("REGISTRY_AUTH_FILE"), err) < 0)
		return -1;
	return add_file(&k->authfiles, docker_file, err);
}

static int read_ca(const struct oci_observer *observer, struct kserve *k, struct oci_error *err)
{
	const char *dir = variable("CA_BUNDLE_VOLUME_MOUNT_POINT");

	if (!dir && !variable("CA_BUNDLE_CONFIGMAP_NAME"))
		return 0;
	k->ca_file = oci_str_printf("%s/%s", dir ? dir : CA_DIR, CA_NAME);
	if (!k->ca_file)
		return oci_fail_nomem(err);
	if (access(k->ca_file, F_OK) < 0) {
		oci_event_warn(observer, "no CA bundle lies at '%s': only the system's authorities are trusted", k->ca_file);
		free(oci_steal(&k->ca_file));
	}
	return 0;
}

static bool is_insecure(void)
{
	const char *value = variable("KSERVE_OCI_INSECURE_REGISTRY");

	return value && (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0 || strcasecmp(value, "yes") == 0);
}

/* patterns */

int kserve_add_pattern(struct oci_strings *list, const char *pattern, struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf glob;

	oci_buf_init(&glob, 64 * OCI_KIB);
	/* Tied to the top; a star there takes '/' as well, a backslash is a byte. */
	if (oci_buf_puts(&glob, "/", err) < 0)
		return -1;
	for (const char *p = pattern; *p; p++) {
		char one[2] = {*p, '\0'};

		if (*p == '*' && p > pattern && p[-1] == '*')
			continue;
		if (oci_buf_puts(&glob, *p == '*' ? "**" : *p == '\\' ? "\\\\" : one, err) < 0)
			return -1;
	}
	return oci_strings_add(list, oci_buf_text(&glob), err);
}

static int add_trimmed(struct oci_strings *list, const char *text, size_t len, struct oci_error *err)
{
	oci_autofree char *copy = NULL;

	while (len > 0 && strchr(BLANKS, *text)) {
		text++;
		len--;
	}
	while (len > 0 && strchr(BLANKS, text[len - 1]))
		len--;
	if (len == 0)
		return 0;
	copy = strndup(text, len);
	return copy ? kserve_add_pattern(list, copy, err) : oci_fail_nomem(err);
}

static int add_array(struct oci_strings *list, const char *name, const struct oci_json *array, struct oci_error *err)
{
	for (size_t i = 0; i < oci_json_count(array); i++) {
		const char *text = oci_json_value_text(oci_json_at(array, i));

		if (!text)
			return oci_fail(err, OCI_E_USAGE, "%s: element %zu of the array is no text", name, i + 1);
		if (add_trimmed(list, text, strlen(text), err) < 0)
			return -1;
	}
	return 0;
}

static int read_patterns(const char *name, struct oci_strings *list, struct oci_error *err)
{
	const char *value = variable(name);
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;

	if (!value)
		return 0;
	doc = oci_json_parse(value, strlen(value), &OCI_JSON_SMALL, NULL);
	if (doc && oci_json_is_array(doc))
		return add_array(list, name, doc, err);
	for (const char *at = value; *at;) {
		size_t len = strcspn(at, ",");

		if (add_trimmed(list, at, len, err) < 0)
			return -1;
		at += len + (at[len] == ',');
	}
	return 0;
}

int kserve_read(const struct oci_observer *observer, struct kserve *ret, struct oci_error *err)
{
	OCI_CLEANUP(kserve_clear) struct kserve k = {.insecure = is_insecure()};

	if (variable("CONFIDENTIAL_RESOURCE_ID"))
		return oci_fail(err, OCI_E_UNSUPPORTED, "CONFIDENTIAL_RESOURCE_ID is set: encrypted models are not read here; "
			"use KServe's own initializer for this one");
	if (read_credentials(&k, err) < 0 || read_ca(observer, &k, err) < 0 ||
		read_patterns("STORAGE_ALLOW_PATTERNS", &k.allow, err) < 0 ||
		read_patterns("STORAGE_IGNORE_PATTERNS", &k.ignore, err) < 0)
		return -1;
	*ret = k;
	k = (struct kserve){0};
	return 0;
}

void kserve_clear(struct kserve *kserve)
{
	oci_strings_clear(&kserve->authfiles);
	oci_strings_clear(&kserve->allow);
	oci_strings_clear(&kserve->ignore);
	free(kserve->ca_file);
	*kserve = (struct kserve){0};
}

/* names */

static bool is_object_store(const char *uri)
{
	return oci_str_starts(uri, IMAGE "n/") && strstr(uri, "/b/") && strstr(uri, "/o/");
}

bool kserve_is_image(const char *uri)
{
	return oci_str_starts(uri, FETCH) || oci_str_starts(uri, ARTIFACT) ||
		(oci_str_starts(uri, IMAGE) && !is_object_store(uri));
}

char *kserve_reference(const char *uri)
{
	return oci_str_printf("docker://%s", strstr(uri, "://") + strlen("://"));
}
