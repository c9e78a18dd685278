/* publish_in_place.h - private to publish*.c */
#pragma once

#include "engine/publish.h"

int publish_may(const struct oci_publication *p, struct oci_error *err);
int publish_sync_dirs(int tree, struct oci_error *err);
int publish_in_place(const struct oci_publication *p, struct oci_error *err);
