#include "model/safetensors.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "model/extents.h"
#include "model/scan.h"

#define DIMENSIONS_MAX 32

static const struct dtype {
	const char *name, *precision;
	unsigned bits;
} dtypes[OCI_SAFETENSORS_DTYPES] = {
	{"BF16", "bf16", 16},
	{"F16", "f16", 16},
	{"F32", "f32", 32},
	{"F64", "f64", 64},
	{"F8_E4M3", "f8_e4m3", 8},
	{"F8_E5M2", "f8_e5m2", 8},
	{"F8_E4M3FNUZ", "f8_e4m3fnuz", 8},
	{"F8_E5M2FNUZ", "f8_e5m2fnuz", 8},
	{"F8_E8M0", "f8_e8m0", 8},
	{"F6_E2M3", "f6_e2m3", 6},
	{"F6_E3M2", "f6_e3m2", 6},
	{"F4", "f4", 4},
	{"I8", "int8", 8},
	{"U8", "uint8", 8},
	{"I16", "int16", 16},
	{"U16", "uint16", 16},
	{"I32", "int32", 32},
	{"U32", "uint32", 32},
	{"I64", "int64", 64},
	{"U64", "uint64", 64},
};

/* What nobody would call a model's precision, but whose size is known. */
static const struct dtype other_dtypes[] = {{"BOOL", NULL, 8}, {"C64", NULL, 64}};

struct tensor {
	const struct dtype *dtype; /* NULL: unknown */
	uint64_t elements, begin, end;
	bool has_dtype, has_shape, has_offsets;
};

static const struct dtype *find_dtype(const char *name)
{
	for (size_t i = 0; i < OCI_SAFETENSORS_DTYPES; i++) {
		if (!strcmp(dtypes[i].name, name))
			return &dtypes[i];
	}
	for (size_t i = 0; i < sizeof other_dtypes / sizeof *other_dtypes; i++) {
		if (!strcmp(other_dtypes[i].name, name))
			return &other_dtypes[i];
	}
	return NULL;
}

static int read_shape(struct oci_scan *scan, uint64_t *elements, struct oci_error *err)
{
	uint64_t product = 1, size;
	unsigned dimensions = 0;
	bool first = true;
	int more;

	while ((more = oci_scan_element(scan, &first, err)) > 0) {
		if (oci_scan_u64(scan, &size, err) < 0)
			return -1;
		if (++dimensions > DIMENSIONS_MAX || __builtin_mul_overflow(product, size, &product))
			return oci_fail(err, OCI_E_FORMAT, "shape is too large");
	}
	*elements = product;
	return more;
}

static int read_offsets(struct oci_scan *scan, uint64_t offsets[2], struct oci_error *err)
{
	bool first = true;
	unsigned count = 0;
	int more;

	while ((more = oci_scan_element(scan, &first, err)) > 0) {
		if (count == 2)
			return oci_fail(err, OCI_E_FORMAT, "data_offsets are not two numbers");
		if (oci_scan_u64(scan, &offsets[count++], err) < 0)
			return -1;
	}
	if (!more && count != 2)
		return oci_fail(err, OCI_E_FORMAT, "data_offsets are not two numbers");
	return more;
}

static int read_field(struct oci_scan *scan, const char *key, struct tensor *t, struct oci_error *err)
{
	if (!strcmp(key, "dtype") && !t->has_dtype) {
		struct oci_scan_text name;
		t->has_dtype = true;
		if (oci_scan_text(scan, &name, err) < 0)
			return -1;
		t->dtype = find_dtype(name.text);
		return 0;
	}
	if (!strcmp(key, "shape") && !t->has_shape) {
		t->has_shape = true;
		return read_shape(scan, &t->elements, err);
	}
	if (!strcmp(key, "data_offsets") && !t->has_offsets) {
		uint64_t offsets[2];
		t->has_offsets = true;
		if (read_offsets(scan, offsets, err) < 0)
			return -1;
		t->begin = offsets[0];
		t->end = offsets[1];
		return 0;
	}
	if (!strcmp(key, "dtype") || !strcmp(key, "shape") || !strcmp(key, "data_offsets"))
		return oci_fail(err, OCI_E_FORMAT, "'%s' is there twice", key);
	return oci_scan_value(scan, err);
}

static int check_tensor(const struct tensor *t, uint64_t data_bytes, struct oci_error *err)
{
	uint64_t bits;

	if (!t->has_dtype || !t->has_shape || !t->has_offsets)
		return oci_fail(err, OCI_E_FORMAT, "dtype, shape or data_offsets is missing");
	if (t->end < t->begin)
		return oci_fail(err, OCI_E_FORMAT, "data_offsets run backwards");
	if (t->end > data_bytes)
		return oci_fail(err, OCI_E_FORMAT,
			"data ends %llu bytes after the file: it was cut short, fetch it again",
			(unsigned long long)(t->end - data_bytes));
	if (!t->dtype)
		return 0;
	if (__builtin_mul_overflow(t->elements, t->dtype->bits, &bits))
		return oci_fail(err, OCI_E_FORMAT, "shape is too large");
	if (bits % 8 || bits / 8 != t->end - t->begin)
		return oci_fail(err, OCI_E_FORMAT,
			"shape and dtype make other than the %llu bytes of its data",
			(unsigned long long)(t->end - t->begin));
	return 0;
}

static int read_tensor(struct oci_scan *scan, uint64_t data_bytes, struct tensor *t, struct oci_error *err)
{
	struct oci_scan_text key;
	bool first = true;
	int more;

	while ((more = oci_scan_member(scan, &first, &key, err)) > 0) {
		if (read_field(scan, key.text, t, err) < 0)
			return -1;
	}
	return more < 0 ? -1 : check_tensor(t, data_bytes, err);
}

static int count_tensor(struct oci_safetensors *info, const struct tensor *t, struct oci_error *err)
{
	if (__builtin_add_overflow(info->parameters, t->elements, &info->parameters))
		return oci_fail(err, OCI_E_FORMAT, "shape is too large");
	info->tensors++;
	if (t->dtype && t->dtype->precision)
		info->dtype_bytes[t->dtype - dtypes] += t->end - t->begin;
	return 0;
}

static int read_header(struct oci_scan *scan, uint64_t data_bytes, struct oci_safetensors *info,
	struct oci_extents *extents, struct oci_error *err)
{
	struct oci_scan_text name;
	bool first = true;
	int more;

	while ((more = oci_scan_member(scan, &first, &name, err)) > 0) {
		struct tensor t = {0};
		char safe[OCI_STR_ESCAPE_MAX];
		if (!strcmp(name.text, "__metadata__")) {
			if (oci_scan_value(scan, err) < 0)
				return -1;
			continue;
		}
		if (!oci_str_clean_utf8(name.text))
			return oci_fail(err, OCI_E_FORMAT, "a tensor's name is not clean UTF-8");
		if (read_tensor(scan, data_bytes, &t, err) < 0 || count_tensor(info, &t, err) < 0)
			return oci_wrap(err, "tensor '%s'", oci_str_escape(name.text, safe));
		if (oci_extents_add(extents, t.begin, t.end, oci_scan_hash(name.text, name.len), err) < 0)
			return -1;
	}
	return more < 0 ? -1 : oci_scan_end(scan, err);
}

/* The length of the header, which lies inside the file; the scan ends with it. */
static int read_length(struct oci_scan *scan, uint64_t file_bytes, uint64_t *ret, struct oci_error *err)
{
	uint64_t length;

	if (file_bytes < 8)
		return oci_fail(err, OCI_E_FORMAT,
			"no safetensors file: %llu bytes are too few, fetch it again",
			(unsigned long long)file_bytes);
	scan->end = 8;
	if (oci_scan_le(scan, 8, &length, err) < 0)
		return -1;
	if (length > OCI_SAFETENSORS_HEADER_MAX)
		return oci_fail(err, OCI_E_FORMAT, "no safetensors file: a header of %llu bytes",
			(unsigned long long)length);
	if (length > file_bytes - 8)
		return oci_fail(err, OCI_E_FORMAT, "cut short inside its header, fetch it again");
	scan->end = 8 + length;
	*ret = length;
	return 0;
}

static int check_coverage(struct oci_extents *extents, uint64_t data_bytes, struct oci_error *err)
{
	uint64_t end;

	if (oci_extents_check(extents, 0, &end, err) < 0)
		return -1;
	if (end < data_bytes)
		return oci_fail(err, OCI_E_FORMAT,
			"the file goes on %llu bytes after its last tensor, fetch it again",
			(unsigned long long)(data_bytes - end));
	return 0;
}

int oci_safetensors_inspect(
	const struct oci_model_tree *tree, size_t file, struct oci_safetensors *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_scan_close) struct oci_scan scan = {0};
	OCI_CLEANUP(oci_extents_clear) struct oci_extents extents = {0};
	struct oci_safetensors info = {0};
	uint64_t file_bytes = tree->files[file].size_bytes;

	if (oci_scan_open(&scan, tree, file, 0, 0, err) < 0 ||
		read_length(&scan, file_bytes, &info.header_bytes, err) < 0)
		return -1;
	uint64_t data_bytes = file_bytes - 8 - info.header_bytes;
	if (read_header(&scan, data_bytes, &info, &extents, err) < 0 ||
		check_coverage(&extents, data_bytes, err) < 0)
		return -1;
	*ret = info;
	return 0;
}

void oci_safetensors_add(struct oci_safetensors *to, const struct oci_safetensors *from)
{
	to->header_bytes += from->header_bytes;
	to->tensors += from->tensors;
	to->parameters += from->parameters;
	for (size_t i = 0; i < OCI_SAFETENSORS_DTYPES; i++)
		to->dtype_bytes[i] += from->dtype_bytes[i];
}

const char *oci_safetensors_precision(const struct oci_safetensors *info)
{
	size_t most = 0;

	for (size_t i = 1; i < OCI_SAFETENSORS_DTYPES; i++) {
		if (info->dtype_bytes[i] > info->dtype_bytes[most])
			most = i;
	}
	return info->dtype_bytes[most] ? dtypes[most].precision : NULL;
}
