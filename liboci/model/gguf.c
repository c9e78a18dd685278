#include "model/gguf.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "model/extents.h"
#include "model/scan.h"
#include "model/tree.h"

#define PAIRS_MAX 65536
#define DIMENSIONS_MAX 8
#define ARRAY_DEPTH_MAX 4
#define ALIGNMENT_MAX (1 << 20)

enum value_type { TYPE_U32 = 4, TYPE_STRING = 8, TYPE_ARRAY = 9, TYPE_COUNT = 13 };

/* Bytes of a value; 0 where they vary. */
static const unsigned char value_bytes[TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* Elements and bytes of a block, by tensor type; 0: unknown here. */
static const struct {
	unsigned short elements, bytes;
} blocks[] = {
	[0] = {1, 4},      /* F32 */
	[1] = {1, 2},      /* F16 */
	[2] = {32, 18},    /* Q4_0 */
	[3] = {32, 20},    /* Q4_1 */
	[6] = {32, 22},    /* Q5_0 */
	[7] = {32, 24},    /* Q5_1 */
	[8] = {32, 34},    /* Q8_0 */
	[10] = {256, 84},  /* Q2_K */
	[11] = {256, 110}, /* Q3_K */
	[12] = {256, 144}, /* Q4_K */
	[13] = {256, 176}, /* Q5_K */
	[14] = {256, 210}, /* Q6_K */
	[16] = {256, 66},  /* IQ2_XXS */
	[17] = {256, 74},  /* IQ2_XS */
	[18] = {256, 98},  /* IQ3_XXS */
	[19] = {256, 50},  /* IQ1_S */
	[20] = {32, 18},   /* IQ4_NL */
	[21] = {256, 110}, /* IQ3_S */
	[22] = {256, 82},  /* IQ2_S */
	[23] = {256, 136}, /* IQ4_XS */
	[24] = {1, 1},     /* I8 */
	[25] = {1, 2},     /* I16 */
	[26] = {1, 4},     /* I32 */
	[27] = {1, 8},     /* I64 */
	[28] = {1, 8},     /* F64 */
	[29] = {256, 56},  /* IQ1_M */
	[30] = {1, 2},     /* BF16 */
	[34] = {256, 54},  /* TQ1_0 */
	[35] = {256, 66},  /* TQ2_0 */
	[39] = {32, 17},   /* MXFP4 */
	[40] = {64, 36},   /* NVFP4 */
};

/* general.file_type */
static const char *const file_types[] = {
	[0] = "F32",
	[1] = "F16",
	[2] = "Q4_0",
	[3] = "Q4_1",
	[7] = "Q8_0",
	[8] = "Q5_0",
	[9] = "Q5_1",
	[10] = "Q2_K",
	[11] = "Q3_K_S",
	[12] = "Q3_K_M",
	[13] = "Q3_K_L",
	[14] = "Q4_K_S",
	[15] = "Q4_K_M",
	[16] = "Q5_K_S",
	[17] = "Q5_K_M",
	[18] = "Q6_K",
	[19] = "IQ2_XXS",
	[20] = "IQ2_XS",
	[21] = "Q2_K_S",
	[22] = "IQ3_XS",
	[23] = "IQ3_XXS",
	[24] = "IQ1_S",
	[25] = "IQ4_NL",
	[26] = "IQ3_S",
	[27] = "IQ3_M",
	[28] = "IQ2_S",
	[29] = "IQ2_M",
	[30] = "IQ4_XS",
	[31] = "IQ1_M",
	[32] = "BF16",
	[36] = "TQ1_0",
	[37] = "TQ2_0",
	[38] = "MXFP4_MOE",
};

struct parse {
	struct oci_scan scan;
	struct oci_gguf info;
	struct oci_extents keys, tensors;
	uint64_t pair_count, tensor_count;
	uint64_t alignment;
	uint64_t unknown_at; /* the highest offset of a tensor whose size is unknown */
	bool has_unknown;
};

static void parse_clear(struct parse *p)
{
	oci_scan_close(&p->scan);
	oci_gguf_clear(&p->info);
	oci_extents_clear(&p->keys);
	oci_extents_clear(&p->tensors);
}

static int read_text(struct parse *p, struct oci_scan_text *ret, struct oci_error *err)
{
	uint64_t len;

	if (oci_scan_le(&p->scan, 8, &len, err) < 0)
		return -1;
	if (len > OCI_SCAN_TEXT_MAX)
		return oci_fail(err, OCI_E_FORMAT, "a name of %llu bytes", (unsigned long long)len);
	if (oci_scan_bytes(&p->scan, ret->text, (size_t)len, err) < 0)
		return -1;
	ret->text[len] = '\0';
	ret->len = (size_t)len;
	return 0;
}

static int skip_text(struct parse *p, struct oci_error *err)
{
	uint64_t len;
	return oci_scan_le(&p->scan, 8, &len, err) < 0 ? -1 : oci_scan_skip(&p->scan, len, err);
}

static int skip_array(struct parse *p, unsigned depth, struct oci_error *err);

static int skip_values(struct parse *p, uint64_t type, uint64_t count, unsigned depth, struct oci_error *err)
{
	uint64_t bytes;

	if (type >= TYPE_COUNT)
		return oci_fail(err, OCI_E_FORMAT, "a value of unknown type %llu", (unsigned long long)type);
	if (value_bytes[type]) {
		if (__builtin_mul_overflow(count, value_bytes[type], &bytes))
			return oci_fail(err, OCI_E_FORMAT, "an array is too long");
		return oci_scan_skip(&p->scan, bytes, err);
	}
	for (uint64_t i = 0; i < count; i++) {
		if ((type == TYPE_STRING ? skip_text(p, err) : skip_array(p, depth + 1, err)) < 0)
			return -1;
	}
	return 0;
}

static int skip_array(struct parse *p, unsigned depth, struct oci_error *err)
{
	uint64_t type, count;

	if (depth > ARRAY_DEPTH_MAX)
		return oci_fail(err, OCI_E_FORMAT, "arrays nested deeper than %d", ARRAY_DEPTH_MAX);
	if (oci_scan_le(&p->scan, 4, &type, err) < 0 || oci_scan_le(&p->scan, 8, &count, err) < 0)
		return -1;
	return skip_values(p, type, count, depth, err);
}

/* Where a string pair goes; NULL: nobody wants it. */
static char **text_field(struct oci_gguf *info, const char *key)
{
	if (!strcmp(key, "general.name"))
		return &info->name;
	if (!strcmp(key, "general.architecture"))
		return &info->architecture;
	if (!strcmp(key, "general.license"))
		return &info->license;
	if (!strcmp(key, "general.source.url") || !strcmp(key, "general.source.repo_url") ||
		!strcmp(key, "general.repo_url"))
		return &info->source_url;
	return NULL;
}

/* Long prose under a key that is wanted, such as a whole license, is no name. */
static int read_text_pair(struct parse *p, char **field, struct oci_error *err)
{
	char text[OCI_SCAN_TEXT_MAX + 1];
	uint64_t len;

	if (oci_scan_le(&p->scan, 8, &len, err) < 0)
		return -1;
	if (len > OCI_SCAN_TEXT_MAX)
		return oci_scan_skip(&p->scan, len, err);
	if (oci_scan_bytes(&p->scan, text, (size_t)len, err) < 0)
		return -1;
	text[len] = '\0';
	return oci_info_set(field, text, err);
}

static int read_number_pair(struct parse *p, const char *key, struct oci_error *err)
{
	uint64_t value;

	if (oci_scan_le(&p->scan, 4, &value, err) < 0)
		return -1;
	if (!strcmp(key, "general.file_type") && value < sizeof file_types / sizeof *file_types)
		p->info.file_type = file_types[value];
	if (strcmp(key, "general.alignment") != 0)
		return 0;
	if (!value || value > ALIGNMENT_MAX || (value & (value - 1)))
		return oci_fail(err, OCI_E_FORMAT, "general.alignment %llu is no power of two",
			(unsigned long long)value);
	p->alignment = value;
	return 0;
}

static int read_pair(struct parse *p, struct oci_error *err)
{
	struct oci_scan_text key;
	uint64_t type;

	if (read_text(p, &key, err) < 0 || oci_scan_le(&p->scan, 4, &type, err) < 0)
		return -1;
	if (oci_extents_add(&p->keys, 0, 0, oci_scan_hash(key.text, key.len), err) < 0)
		return -1;
	char **field = type == TYPE_STRING ? text_field(&p->info, key.text) : NULL;
	if (field)
		return read_text_pair(p, field, err);
	if (type == TYPE_U32)
		return read_number_pair(p, key.text, err);
	return skip_values(p, type, 1, 0, err);
}

static int read_pairs(struct parse *p, struct oci_error *err)
{
	uint64_t end;

	for (uint64_t i = 0; i < p->pair_count; i++) {
		if (read_pair(p, err) < 0)
			return -1;
	}
	if (oci_extents_check(&p->keys, 0, &end, NULL) < 0)
		return oci_fail(err, OCI_E_FORMAT, "the header has a key twice");
	oci_extents_clear(&p->keys);
	return 0;
}

/* Elements, and bytes of data: 0 when the type is unknown. */
static int read_size(struct parse *p, uint64_t *elements, uint64_t *bytes, struct oci_error *err)
{
	uint64_t dimensions, size, type, row = 1, product = 1;

	if (oci_scan_le(&p->scan, 4, &dimensions, err) < 0)
		return -1;
	if (dimensions > DIMENSIONS_MAX)
		return oci_fail(err, OCI_E_FORMAT, "%llu dimensions", (unsigned long long)dimensions);
	for (uint64_t i = 0; i < dimensions; i++) {
		if (oci_scan_le(&p->scan, 8, &size, err) < 0)
			return -1;
		row = i ? row : size;
		if (__builtin_mul_overflow(product, size, &product))
			return oci_fail(err, OCI_E_FORMAT, "dimensions are too large");
	}
	if (oci_scan_le(&p->scan, 4, &type, err) < 0)
		return -1;
	*elements = product;
	*bytes = 0;
	if (type >= sizeof blocks / sizeof *blocks || !blocks[type].elements)
		return 0;
	if (row % blocks[type].elements)
		return oci_fail(err, OCI_E_FORMAT, "rows are no whole number of blocks");
	if (__builtin_mul_overflow(product / blocks[type].elements, blocks[type].bytes, bytes))
		return oci_fail(err, OCI_E_FORMAT, "dimensions are too large");
	return 0;
}

static int read_tensor(struct parse *p, const struct oci_scan_text *name, struct oci_error *err)
{
	uint64_t elements = 0, bytes = 0, offset, end;

	if (read_size(p, &elements, &bytes, err) < 0 || oci_scan_le(&p->scan, 8, &offset, err) < 0)
		return -1;
	if (offset % p->alignment)
		return oci_fail(err, OCI_E_FORMAT, "offset %llu is not aligned", (unsigned long long)offset);
	if (__builtin_add_overflow(offset, bytes, &end) ||
		__builtin_add_overflow(p->info.parameters, elements, &p->info.parameters))
		return oci_fail(err, OCI_E_FORMAT, "dimensions are too large");
	if (elements && !bytes) {
		p->has_unknown = true;
		p->unknown_at = offset > p->unknown_at ? offset : p->unknown_at;
	}
	p->info.tensors++;
	return oci_extents_add(&p->tensors, offset, end, oci_scan_hash(name->text, name->len), err);
}

static int read_tensors(struct parse *p, struct oci_error *err)
{
	for (uint64_t i = 0; i < p->tensor_count; i++) {
		struct oci_scan_text name;
		char safe[OCI_STR_ESCAPE_MAX];
		if (read_text(p, &name, err) < 0)
			return -1;
		if (read_tensor(p, &name, err) < 0)
			return oci_wrap(err, "tensor '%s'", oci_str_escape(name.text, safe));
	}
	return 0;
}

static int read_counts(struct parse *p, struct oci_error *err)
{
	char magic[4];
	uint64_t version;

	if (oci_scan_bytes(&p->scan, magic, sizeof magic, err) < 0)
		return -1;
	if (memcmp(magic, "GGUF", sizeof magic) != 0)
		return oci_fail(err, OCI_E_FORMAT, "no GGUF file: it does not begin with 'GGUF'");
	if (oci_scan_le(&p->scan, 4, &version, err) < 0)
		return -1;
	if (version != 2 && version != 3)
		return oci_fail(err, OCI_E_UNSUPPORTED, "GGUF version %llu%s, its header was not checked",
			(unsigned long long)version, version & 0xffff ? "" : ", big endian perhaps");
	if (oci_scan_le(&p->scan, 8, &p->tensor_count, err) < 0 ||
		oci_scan_le(&p->scan, 8, &p->pair_count, err) < 0)
		return -1;
	if (p->pair_count > PAIRS_MAX)
		return oci_fail(
			err, OCI_E_FORMAT, "%llu pairs of metadata", (unsigned long long)p->pair_count);
	return 0;
}

static uint64_t align_up(uint64_t n, uint64_t alignment)
{
	return (n + alignment - 1) & ~(alignment - 1);
}

/* The data lies inside the file, and nothing comes after it but padding. */
static int check_data(struct parse *p, uint64_t file_bytes, struct oci_error *err)
{
	uint64_t end;

	p->info.data_offset = align_up(oci_scan_tell(&p->scan), p->alignment);
	/* A vocabulary, or the first of several files, may have no data and no padding before it. */
	uint64_t data_bytes = file_bytes > p->info.data_offset ? file_bytes - p->info.data_offset : 0;
	if (oci_extents_check(&p->tensors, UINT64_MAX, &end, err) < 0)
		return -1;
	if (end > data_bytes || (p->has_unknown && p->unknown_at >= data_bytes))
		return oci_fail(err, OCI_E_FORMAT, "cut short: its data ends after the file, fetch it again");
	if (!p->has_unknown && data_bytes - end >= p->alignment)
		return oci_fail(err, OCI_E_FORMAT,
			"the file goes on %llu bytes after its last tensor, fetch it again",
			(unsigned long long)(data_bytes - end));
	return 0;
}

int oci_gguf_inspect(
	const struct oci_model_tree *tree, size_t file, struct oci_gguf *ret, struct oci_error *err)
{
	OCI_CLEANUP(parse_clear) struct parse p = {.alignment = 32};
	uint64_t file_bytes = tree->files[file].size_bytes;
	uint64_t end = file_bytes < OCI_GGUF_HEADER_MAX ? file_bytes : OCI_GGUF_HEADER_MAX;

	if (oci_scan_open(&p.scan, tree, file, 0, end, err) < 0 || read_counts(&p, err) < 0 ||
		read_pairs(&p, err) < 0 || read_tensors(&p, err) < 0 || check_data(&p, file_bytes, err) < 0)
		return -1;
	*ret = p.info;
	p.info = (struct oci_gguf){0};
	return 0;
}

void oci_gguf_clear(struct oci_gguf *info)
{
	free(info->name);
	free(info->architecture);
	free(info->license);
	free(info->source_url);
	*info = (struct oci_gguf){0};
}
