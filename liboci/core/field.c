#include "core/field.h"

#include "base/str.h"

/* The member, or NULL when it is absent or null: Go writes null for nothing. */
static const struct oci_json *present(const struct oci_json *object, const char *key)
{
	const struct oci_json *value = oci_json_get(object, key);
	return oci_json_is_null(value) ? NULL : value;
}

int oci_field_text(const struct oci_json *object, const char *key, char **ret, struct oci_error *err)
{
	const struct oci_json *value = present(object, key);
	if (!value)
		return 0;
	const char *text = oci_json_value_text(value);
	if (!text)
		return oci_fail(err, OCI_E_FORMAT, "'%s' is not a string", key);
	return oci_str_set(ret, text, err);
}

int oci_field_array(const struct oci_json *object, const char *key, const struct oci_json **ret,
	struct oci_error *err)
{
	const struct oci_json *value = present(object, key);
	if (value && !oci_json_is_array(value))
		return oci_fail(err, OCI_E_FORMAT, "'%s' is not an array", key);
	*ret = value;
	return 0;
}

int oci_field_object(const struct oci_json *object, const char *key, const struct oci_json **ret,
	struct oci_error *err)
{
	const struct oci_json *value = present(object, key);
	if (value && !oci_json_is_object(value))
		return oci_fail(err, OCI_E_FORMAT, "'%s' is not an object", key);
	*ret = value;
	return 0;
}

int oci_field_annotations(const struct oci_json *object, const char *key, struct oci_annotations *ret,
	struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];
	const struct oci_json *members = NULL;
	if (oci_field_object(object, key, &members, err) < 0)
		return -1;
	for (void *i = oci_json_first(members); i; i = oci_json_next(members, i)) {
		const char *text = oci_json_value_text(oci_json_value(i));
		if (!text)
			return oci_fail(err, OCI_E_FORMAT, "'%s' in '%s' is not a string",
				oci_str_escape(oci_json_key(i), shown), key);
		if (oci_annotations_append(ret, oci_json_key(i), text, err) < 0)
			return -1;
	}
	return 0;
}

int oci_field_platform(const struct oci_json *object, struct oci_platform *ret, struct oci_error *err)
{
	if (oci_field_text(object, "architecture", &ret->architecture, err) < 0 ||
		oci_field_text(object, "os", &ret->os, err) < 0)
		return -1;
	return oci_field_text(object, "variant", &ret->variant, err);
}

void oci_field_put_annotations(struct oci_json_writer *w, const char *key, const struct oci_annotations *a)
{
	if (a->count == 0)
		return;
	oci_json_object(w, key);
	for (size_t i = 0; i < a->count; i++)
		oci_json_put_text(w, a->items[i].key, a->items[i].value);
	oci_json_close(w);
}

void oci_field_put_platform(struct oci_json_writer *w, const struct oci_platform *p)
{
	oci_json_put_text(w, "architecture", p->architecture);
	oci_json_put_text(w, "os", p->os);
	oci_json_put_text(w, "variant", p->variant);
}
