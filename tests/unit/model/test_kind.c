#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "model/detect.h"

static void assert_kind(const char *path, const char *kind)
{
	assert_string_equal(oci_file_kind_name(oci_file_kind_of(path)), kind);
}

static void kind_knows_weights_of_every_framework(void **state)
{
	static const char *const paths[] = {"model-00001-of-00002.safetensors", "pytorch_model.bin",
		"m.Q4_K_M.GGUF", "1/model.onnx", "1/model.onnx_data_1", "1/model.plan", "rank0.engine",
		"x.h5", "saved_model.pb", "variables/variables.data-00000-of-00001", "flax_model.msgpack",
		"adapters.npz"};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		assert_kind(paths[i], "weights");
}

static void kind_knows_text_that_is_configuration(void **state)
{
	static const char *const paths[] = {"merges.txt", "vocab.txt", "labels.txt",
		"net/imagenet_labels.txt", "tokenizer.model", "tokenizer.model.v3", "config.json",
		"a/config.pbtxt", "chat_template.jinja"};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		assert_kind(paths[i], "config");
}

static void kind_knows_prose_from_code_by_its_ending(void **state)
{
	assert_kind("LICENSE", "doc");
	assert_kind("LICENSE-2.0", "doc");
	assert_kind("README.md", "doc");
	assert_kind("notes.txt", "doc");
	assert_kind("license.py", "code");
	assert_kind("readme.json", "config");
	assert_kind("modeling_x.py", "code");
	assert_kind("Makefile", "code");
}

static void kind_looks_at_the_last_component_only(void **state)
{
	assert_kind("model.safetensors/notes.png", "other");
	assert_kind("picture.png", "other");
	assert_kind("noending", "other");
}

static void layout_names_are_stable(void **state)
{
	assert_string_equal(oci_model_layout_name(OCI_MODEL_PLAIN), "plain");
	assert_string_equal(oci_model_layout_name(OCI_MODEL_HUGGINGFACE), "huggingface");
	assert_string_equal(oci_model_layout_name(OCI_MODEL_TRITON_REPOSITORY), "triton-repository");
	assert_string_equal(oci_model_layout_name(OCI_MODEL_TENSORRT_LLM), "tensorrt-llm");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kind_knows_weights_of_every_framework),
		cmocka_unit_test(kind_knows_text_that_is_configuration),
		cmocka_unit_test(kind_knows_prose_from_code_by_its_ending),
		cmocka_unit_test(kind_looks_at_the_last_component_only),
		cmocka_unit_test(layout_names_are_stable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
