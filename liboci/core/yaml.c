#include "core/yaml.h"

#include <string.h>
#include <yaml.h>

#include "base/cleanup.h"
#include "base/str.h"

/* JSON's escapes make at most six bytes of one; keys and scalars get quotes and a comma. */
#define JSON_BYTES_PER_BYTE 8
#define JSON_BYTES_SPARE 64

struct reading {
	yaml_parser_t parser;
	yaml_event_t event; /* the current one, type 0: none */
	struct oci_json_writer writer;
	const char *what;
	unsigned depth;
};

static int refuse(const struct reading *r, enum oci_errc code, const char *problem, struct oci_error *err)
{
	return oci_fail(err, code, "%s, line %zu: %s", r->what, r->event.start_mark.line + 1, problem);
}

static int next(struct reading *r, struct oci_error *err)
{
	yaml_event_delete(&r->event);
	if (yaml_parser_parse(&r->parser, &r->event))
		return 0;
	if (r->parser.error == YAML_MEMORY_ERROR)
		return oci_fail_nomem(err);
	return oci_fail(err, OCI_E_FORMAT, "%s, line %zu: %s", r->what, r->parser.problem_mark.line + 1,
		r->parser.problem ? r->parser.problem : "not YAML");
}

static int check_scalar(const struct reading *r, struct oci_error *err)
{
	const char *text = (const char *)r->event.data.scalar.value;

	if (r->event.type != YAML_SCALAR_EVENT)
		return refuse(r, OCI_E_FORMAT, "a key is not a word", err);
	if (strlen(text) != r->event.data.scalar.length)
		return refuse(r, OCI_E_FORMAT, "a NUL in a text", err);
	return r->event.data.scalar.anchor ? refuse(r, OCI_E_UNSUPPORTED, "anchors are not known here", err) : 0;
}

static bool is_null(const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;

	return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		(*text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static int read_node(struct reading *r, const char *key, struct oci_error *err);

static int read_scalar(struct reading *r, const char *key, struct oci_error *err)
{
	if (check_scalar(r, err) < 0)
		return -1;
	if (is_null(&r->event))
		oci_json_put_raw(&r->writer, key, "null");
	else
		oci_json_put_text(&r->writer, key, (const char *)r->event.data.scalar.value);
	return 0;
}

static int read_mapping(struct reading *r, const char *key, struct oci_error *err)
{
	if (r->event.data.mapping_start.anchor)
		return refuse(r, OCI_E_UNSUPPORTED, "anchors are not known here", err);
	oci_json_object(&r->writer, key);
	for (;;) {
		oci_autofree char *name = NULL;

		if (next(r, err) < 0)
			return -1;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			break;
		if (check_scalar(r, err) < 0)
			return -1;
		name = strdup((const char *)r->event.data.scalar.value);
		if (!name)
			return oci_fail_nomem(err);
		if (next(r, err) < 0 || read_node(r, name, err) < 0)
			return -1;
	}
	oci_json_close(&r->writer);
	return 0;
}

static int read_sequence(struct reading *r, const char *key, struct oci_error *err)
{
	if (r->event.data.sequence_start.anchor)
		return refuse(r, OCI_E_UNSUPPORTED, "anchors are not known here", err);
	oci_json_array(&r->writer, key);
	for (;;) {
		if (next(r, err) < 0)
			return -1;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (read_node(r, NULL, err) < 0)
			return -1;
	}
	oci_json_close(&r->writer);
	return 0;
}

/* The node whose first event is the current one, to its end. */
static int read_node(struct reading *r, const char *key, struct oci_error *err)
{
	int rc;

	if (++r->depth > OCI_JSON_DEPTH)
		return refuse(r, OCI_E_FORMAT, "nested too deep", err);
	switch (r->event.type) {
	case YAML_SCALAR_EVENT:
		rc = read_scalar(r, key, err);
		break;
	case YAML_MAPPING_START_EVENT:
		rc = read_mapping(r, key, err);
		break;
	case YAML_SEQUENCE_START_EVENT:
		rc = read_sequence(r, key, err);
		break;
	case YAML_ALIAS_EVENT:
		rc = refuse(r, OCI_E_UNSUPPORTED, "aliases are not known here", err);
		break;
	default:
		rc = refuse(r, OCI_E_FORMAT, "a value is missing", err);
	}
	r->depth--;
	return rc;
}

static int read_stream(struct reading *r, struct oci_error *err)
{
	if (next(r, err) < 0 || next(r, err) < 0) /* the stream, the document */
		return -1;
	if (r->event.type == YAML_STREAM_END_EVENT) {
		oci_json_object(&r->writer, NULL);
		oci_json_close(&r->writer);
		return 0;
	}
	if (next(r, err) < 0 || read_node(r, NULL, err) < 0 || next(r, err) < 0 || next(r, err) < 0)
		return -1;
	return r->event.type == YAML_STREAM_END_EVENT ? 0 : refuse(r, OCI_E_FORMAT, "a second document", err);
}

struct oci_json *oci_yaml_parse(const char *text, size_t len, const struct oci_json_limits *limits,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf json;
	struct reading r = {.what = limits->what};
	int rc;

	if (len > limits->bytes) {
		oci_fail(err, OCI_E_FORMAT, "%s is larger than %zu bytes", limits->what, limits->bytes);
		return NULL;
	}
	oci_buf_init(&json, JSON_BYTES_SPARE + JSON_BYTES_PER_BYTE * len);
	if (!yaml_parser_initialize(&r.parser)) {
		oci_fail_nomem(err);
		return NULL;
	}
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	oci_json_begin(&r.writer, &json);
	rc = read_stream(&r, err);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	if (rc < 0 || oci_json_end(&r.writer, err) < 0)
		return NULL;
	return oci_json_parse(oci_buf_text(&json), json.len, limits, err);
}
