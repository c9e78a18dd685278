/* content.h - tests of content that says its digest itself, part of the suite */
#pragma once

void content_may_bring_its_digest_at_its_end(void **state);
void content_that_proves_to_be_other_is_refused(void **state);
