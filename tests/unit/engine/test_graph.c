#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/graph.h"
#include "graphs.h"

#define DOCUMENT OCI_CLEANUP(oci_descriptor_clear) struct oci_descriptor

static int set_up(void **state)
{
	*state = oci_store_memory(NULL);
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	oci_store_close(*state);
	return 0;
}

static size_t number_of(const struct oci_graph *graph, const struct oci_descriptor *d)
{
	const struct oci_graph_node *node = oci_graph_find(graph, &d->digest);

	assert_non_null(node);
	return (size_t)(node - graph->nodes);
}

static void an_index_leads_to_all_children_first(void **state)
{
	DOCUMENT a = graphs_image(*state, "a", NULL);
	DOCUMENT b = graphs_image(*state, "b", NULL);
	DOCUMENT root = graphs_index(*state, &a, &b);
	OCI_CLEANUP(oci_graph_clear) struct oci_graph graph;

	oci_graph_init(&graph);
	assert_int_equal(oci_graph_add(&graph, *state, &root, true, NULL), 0);
	assert_int_equal(oci_graph_sort(&graph, NULL), 0);
	assert_int_equal(graph.count, 6); /* two layers, one config of both */
	assert_true(number_of(&graph, &a) < number_of(&graph, &root));
	assert_true(number_of(&graph, &b) < number_of(&graph, &root));
	assert_int_equal(graph.nodes[2].kind, OCI_GRAPH_MANIFEST);
	assert_int_equal(graph.nodes[3].kind, OCI_GRAPH_CONFIG);
	assert_int_equal(graph.nodes[5].kind, OCI_GRAPH_LAYER);
	assert_int_equal(graph.tag_count + graph.referrers_count, 0);
}

static void what_two_images_share_is_there_once(void **state)
{
	DOCUMENT a = graphs_image(*state, "a", NULL);
	DOCUMENT root = graphs_index(*state, &a, NULL);
	OCI_CLEANUP(oci_graph_clear) struct oci_graph graph;

	oci_graph_init(&graph);
	assert_int_equal(oci_graph_add(&graph, *state, &a, false, NULL), 0);
	assert_int_equal(oci_graph_add(&graph, *state, &root, false, NULL), 0);
	assert_int_equal(graph.count, 4);
	assert_int_equal(graph.roots, 2);
}

static void signatures_and_referrers_of_every_manifest_come_along(void **state)
{
	DOCUMENT a = graphs_image(*state, "a", NULL);
	DOCUMENT root = graphs_index(*state, &a, NULL);
	DOCUMENT signature = graphs_image(*state, "signature", NULL);
	DOCUMENT sbom = graphs_image(*state, "sbom", &a);
	DOCUMENT list = graphs_index(*state, &sbom, NULL);
	OCI_CLEANUP(oci_graph_clear) struct oci_graph with, without;

	oci_graph_init(&with);
	oci_graph_init(&without);
	graphs_tag_by_digest(*state, &root, &signature, ".sig");
	graphs_tag_by_digest(*state, &a, &list, "");
	assert_int_equal(oci_graph_add(&without, *state, &root, false, NULL), 0);
	assert_null(oci_graph_find(&without, &signature.digest));
	assert_int_equal(oci_graph_add(&with, *state, &root, true, NULL), 0);
	assert_non_null(oci_graph_find(&with, &signature.digest));
	assert_non_null(oci_graph_find(&with, &sbom.digest));
	assert_null(oci_graph_find(&with, &list.digest)); /* each place makes its own */
	assert_int_equal(with.tag_count, 1);
	assert_true(oci_str_ends(with.tags[0].tag, ".sig"));
	assert_int_equal(with.referrers_count, 1);
	assert_true(oci_digest_equal(&with.referrers[0].subject, &a.digest));
}

static void referrers_that_go_round_in_circles_end(void **state)
{
	DOCUMENT a = graphs_image(*state, "a", NULL);
	DOCUMENT b = graphs_image(*state, "b", NULL);
	DOCUMENT both = graphs_index(*state, &a, &b);
	OCI_CLEANUP(oci_graph_clear) struct oci_graph graph;

	oci_graph_init(&graph);
	graphs_tag_by_digest(*state, &a, &both, "");
	graphs_tag_by_digest(*state, &b, &both, "");
	graphs_tag_by_digest(*state, &a, &b, ".sig");
	graphs_tag_by_digest(*state, &b, &a, ".att");
	assert_int_equal(oci_graph_add(&graph, *state, &a, true, NULL), 0);
	assert_non_null(oci_graph_find(&graph, &b.digest));
	assert_int_equal(graph.count, 5);
}

static void what_is_nested_too_deep_is_refused(void **state)
{
	struct oci_descriptor chain[12] = {graphs_image(*state, "a", NULL)};
	OCI_CLEANUP(oci_graph_clear) struct oci_graph graph;
	struct oci_error err = {0};

	oci_graph_init(&graph);
	for (size_t i = 1; i < 12; i++)
		chain[i] = graphs_index(*state, &chain[i - 1], NULL);
	assert_int_equal(oci_graph_add(&graph, *state, &chain[8], false, NULL), 0);
	oci_graph_clear(&graph);
	assert_int_equal(oci_graph_add(&graph, *state, &chain[11], false, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
	for (size_t i = 0; i < 12; i++)
		oci_descriptor_clear(&chain[i]);
}

static void one_digest_with_two_sizes_is_refused(void **state)
{
	DOCUMENT a = graphs_image(*state, "a", NULL);
	OCI_CLEANUP(oci_graph_clear) struct oci_graph graph;
	struct oci_error err = {0};
	bool fresh = false;

	oci_graph_init(&graph);
	assert_int_equal(oci_graph_put(&graph, *state, &a, OCI_GRAPH_LAYER, &fresh, NULL), 0);
	assert_true(fresh);
	assert_int_equal(oci_graph_put(&graph, *state, &a, OCI_GRAPH_LAYER, &fresh, NULL), 0);
	assert_false(fresh);
	a.size_bytes++;
	assert_int_equal(oci_graph_put(&graph, *state, &a, OCI_GRAPH_LAYER, &fresh, &err), -1);
	assert_int_equal(err.code, OCI_E_FORMAT);
}

static void a_manifest_that_is_missing_is_named(void **state)
{
	OCI_CLEANUP(oci_store_cleanup) struct oci_store *other = oci_store_memory(NULL);
	DOCUMENT elsewhere = graphs_image(other, "elsewhere", NULL);
	DOCUMENT root = graphs_index(*state, &elsewhere, NULL);
	OCI_CLEANUP(oci_graph_clear) struct oci_graph graph;
	struct oci_error err = {0};
	char digest[OCI_DIGEST_TEXT_MAX];

	oci_graph_init(&graph);
	assert_int_equal(oci_graph_add(&graph, *state, &root, false, &err), -1);
	assert_int_equal(err.code, OCI_E_NOT_FOUND);
	assert_non_null(strstr(err.text, oci_digest_format(&elsewhere.digest, digest)));
}

#define IN_MEMORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_MEMORY(an_index_leads_to_all_children_first),
		IN_MEMORY(what_two_images_share_is_there_once),
		IN_MEMORY(signatures_and_referrers_of_every_manifest_come_along),
		IN_MEMORY(referrers_that_go_round_in_circles_end),
		IN_MEMORY(what_is_nested_too_deep_is_refused),
		IN_MEMORY(one_digest_with_two_sizes_is_refused),
		IN_MEMORY(a_manifest_that_is_missing_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
