/* boot.h - which boot of which machine this is
 *
 * What was written but not synced is still there as long as the kernel runs; the
 * boot id tells whether it is the same one.
 */
#pragma once

#define OCI_BOOT_ID_MAX 40

/* The kernel's boot id, or "unknown" and the process number where it does not
 * say: such a boot is never the same. Returns ret. */
const char *oci_boot_id(char ret[OCI_BOOT_ID_MAX]);
