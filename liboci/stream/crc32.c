#include "stream/crc32.h"

#include <zlib.h>

uint32_t oci_crc32(const void *data, size_t len)
{
	return (uint32_t)crc32_z(0, data, len);
}
