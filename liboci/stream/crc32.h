/* crc32.h - the checksum of gzip and zip (RFC 1952): against accidents, no digest */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t oci_crc32(const void *data, size_t len);
