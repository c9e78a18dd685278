#include "store/registry_limits.h"

#define GB UINT64_C(1000000000)
#define LAYERS_MAX 127 /* a container runtime mounts no more */

struct limit {
	const char *host_end;
	bool no_pieces;
	bool hearsay;
	uint64_t blob_bytes; /* 0: none is known */
};

static const struct limit limits[] = {
	{"public.ecr.aws", true, false, 10000 * (uint64_t)OCI_MIB},
	{".amazonaws.com", true, false, 52000 * (uint64_t)OCI_MIB},
	{".azurecr.io", false, false, 200 * (uint64_t)OCI_GIB},
	{"ghcr.io", true, true, 10 * GB},
	{"quay.io", false, true, 20 * GB},
	{".pkg.dev", true, true, 0},
	{"gcr.io", true, true, 0},
};

static const struct limit *find(const char *host)
{
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
		if (oci_str_ends(host, limits[i].host_end))
			return &limits[i];
	return NULL;
}

bool oci_registry_takes_no_pieces(const char *host)
{
	const struct limit *limit = find(host);
	return limit && limit->no_pieces;
}

int oci_registry_check_limits(const char *host, const struct oci_store_load *load, struct oci_error *err)
{
	char have[OCI_STR_SIZE_MAX], most[OCI_STR_SIZE_MAX];
	const struct limit *limit = find(host);

	if (load->layer_count > LAYERS_MAX)
		oci_event_warn(load->observer, "%zu layers: container runtimes take %d", load->layer_count,
			LAYERS_MAX);
	if (!limit || !limit->blob_bytes || load->largest_bytes <= limit->blob_bytes)
		return 0;
	oci_str_size(load->largest_bytes, have);
	oci_str_size(limit->blob_bytes, most);
	if (!limit->hearsay)
		return oci_fail(err, OCI_E_UNSUPPORTED,
			"a layer of %s: '%s' takes %s; save the model in smaller shards", have, host, most);
	oci_event_warn(load->observer, "a layer of %s: '%s' is known to refuse more than %s", have, host, most);
	return 0;
}
