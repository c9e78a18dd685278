#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "memory_tree.h"

#define GGUF_HEAD "GGUF\3\0\0\0\0\0\0\0\0\0\0\0"
#define GGUF_EMPTY GGUF_HEAD "\0\0\0\0\0\0\0\0"
#define GGUF_BF16 GGUF_HEAD "\1\0\0\0\0\0\0\0\x11\0\0\0\0\0\0\0general.file_type\4\0\0\0\x20\0\0"

static void assert_layout(struct memory_tree *m, enum oci_model_layout layout)
{
	struct oci_model_info info = {0};
	struct oci_error err = {0};

	if (oci_model_inspect(&m->tree, &info, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(oci_model_layout_name(info.layout), oci_model_layout_name(layout));
	oci_model_info_clear(&info);
	memory_clear(m);
}

static void detect_tells_a_tensorrt_llm_engine_from_hugging_face(void **state)
{
	struct memory_tree m = {0};

	memory_text(&m, "config.json", "{\"architectures\":[\"LlamaForCausalLM\"]}");
	memory_text(&m, "rank0.engine", "x");
	assert_layout(&m, OCI_MODEL_TENSORRT_LLM);
}

static void detect_reads_the_config_of_a_tensorrt_llm_engine(void **state)
{
	struct memory_tree m = {0};
	struct oci_model_info info = {0};

	memory_text(&m, "config.json",
		"{\"version\":\"0.16\",\"pretrained_config\":{\"architecture\":\"LlamaForCausalLM\",\"dtype\":"
		"\"float16\",\"mapping\":{\"world_size\":3,\"tp_size\":3},\"quantization\":{\"quant_algo\":\"FP8\"}}}");
	memory_text(&m, "rank0.engine", "x");
	memory_text(&m, "rank2.engine", "x");
	assert_int_equal(oci_model_inspect(&m.tree, &info, NULL), 0);
	assert_string_equal(info.architecture, "LlamaForCausalLM");
	assert_string_equal(info.precision, "f16");
	assert_string_equal(info.quantization, "FP8");
	assert_string_equal(info.format, "tensorrt");
	assert_true(has_finding(&info, OCI_FINDING_ERROR, "rank1.engine", "missing"));
	assert_int_equal(info.finding_count, 1);
	oci_model_info_clear(&info);
	memory_clear(&m);
}

static void detect_takes_any_config_of_a_tensorrt_llm_engine(void **state)
{
	static const char *const configs[] = {"{}", "{\"pretrained_config\":null}", "{\"pretrained_config\":[1]}",
		"{\"pretrained_config\":{\"mapping\":1,\"dtype\":{},\"quantization\":null}}"};

	for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
		struct memory_tree m = {0};
		struct oci_model_info info = {0};

		memory_text(&m, "config.json", configs[i]);
		memory_text(&m, "rank0.engine", "x");
		assert_int_equal(oci_model_inspect(&m.tree, &info, NULL), 0);
		assert_int_equal(info.finding_count, 0);
		oci_model_info_clear(&info);
		memory_clear(&m);
	}
}

static void detect_warns_of_a_whole_hugging_face_cache(void **state)
{
	static const char *const files[] = {"models--a--b/snapshots/0123/config.json", "snapshots/0123/config.json"};

	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct memory_tree m = {0};
		struct oci_model_info info = {0};

		memory_text(&m, files[i], "{}");
		assert_int_equal(oci_model_inspect(&m.tree, &info, NULL), 0);
		assert_true(has_finding(&info, OCI_FINDING_WARNING, ".", "snapshots/<revision>"));
		oci_model_info_clear(&info);
		memory_clear(&m);
	}
}

static void detect_calls_gguf_files_alone_gguf(void **state)
{
	struct memory_tree alone = {0}, mixed = {0};

	memory_add(&alone, "a.gguf", GGUF_EMPTY, sizeof GGUF_EMPTY - 1);
	memory_text(&alone, "README.md", "x");
	assert_layout(&alone, OCI_MODEL_GGUF);
	memory_add(&mixed, "a.gguf", GGUF_EMPTY, sizeof GGUF_EMPTY - 1);
	memory_text(&mixed, "b.onnx", "x");
	assert_layout(&mixed, OCI_MODEL_PLAIN);
}

static void detect_needs_more_than_a_config_for_hugging_face(void **state)
{
	struct memory_tree plain = {0}, weights = {0}, index = {0};

	memory_text(&plain, "config.json", "{\"port\":80}");
	memory_text(&plain, "model.bin", "x");
	assert_layout(&plain, OCI_MODEL_PLAIN);
	memory_text(&weights, "config.json", "{\"port\":80}");
	memory_safetensors(&weights, "model.safetensors", "{}", 0);
	assert_layout(&weights, OCI_MODEL_HUGGINGFACE);
	memory_text(&index, "model.safetensors.index.json", "{\"weight_map\":{}}");
	assert_layout(&index, OCI_MODEL_HUGGINGFACE);
}

static void detect_finds_a_git_lfs_pointer(void **state)
{
	struct memory_tree m = {0};
	struct oci_model_info info = {0};

	memory_text(&m, "model.safetensors",
		"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n");
	memory_text(&m, "tokenizer.json", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n");
	assert_int_equal(oci_model_inspect(&m.tree, &info, NULL), 0);
	assert_true(has_finding(&info, OCI_FINDING_ERROR, "model.safetensors", "git lfs pull"));
	assert_true(has_finding(&info, OCI_FINDING_ERROR, "tokenizer.json", "git lfs pull"));
	assert_int_equal(info.finding_count, 2);
	oci_model_info_clear(&info);
	memory_clear(&m);
}

static void detect_reads_the_file_type_of_gguf(void **state)
{
	struct memory_tree m = {0};
	struct oci_model_info info = {0};

	/* The literal's own zero is the last byte of the number. */
	memory_add(&m, "a.gguf", GGUF_BF16, sizeof GGUF_BF16);
	assert_int_equal(oci_model_inspect(&m.tree, &info, NULL), 0);
	print_findings(&info);
	assert_int_equal(info.finding_count, 0);
	assert_string_equal(info.format, "gguf");
	oci_model_info_clear(&info);
	memory_clear(&m);
}

static void detect_passes_on_a_read_that_fails(void **state)
{
	struct memory_tree m = {.fail = true};
	struct oci_model_info info = {0};
	struct oci_error err = {0};

	memory_safetensors(&m, "model.safetensors", "{}", 0);
	assert_int_equal(oci_model_inspect(&m.tree, &info, &err), -1);
	assert_int_equal(err.code, OCI_E_IO);
	assert_non_null(strstr(err.text, "model.safetensors"));
	memory_clear(&m);
}

static void detect_takes_an_empty_tree(void **state)
{
	struct memory_tree m = {0};

	assert_layout(&m, OCI_MODEL_PLAIN);
}

static void param_text_is_short(void **state)
{
	char out[16];

	assert_string_equal(oci_model_param_text(7241732096, out), "7.2B");
	assert_string_equal(oci_model_param_text(134515008, out), "135M");
	assert_string_equal(oci_model_param_text(7000000000, out), "7B");
	assert_string_equal(oci_model_param_text(671026419200, out), "671B");
	assert_string_equal(oci_model_param_text(1026408232448, out), "1T");
	assert_string_equal(oci_model_param_text(999, out), "999");
	assert_string_equal(oci_model_param_text(0, out), "0");
	assert_string_equal(oci_model_param_text(UINT64_MAX, out), "18446744T");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(detect_tells_a_tensorrt_llm_engine_from_hugging_face),
		cmocka_unit_test(detect_reads_the_config_of_a_tensorrt_llm_engine),
		cmocka_unit_test(detect_takes_any_config_of_a_tensorrt_llm_engine),
		cmocka_unit_test(detect_warns_of_a_whole_hugging_face_cache),
		cmocka_unit_test(detect_calls_gguf_files_alone_gguf),
		cmocka_unit_test(detect_needs_more_than_a_config_for_hugging_face),
		cmocka_unit_test(detect_finds_a_git_lfs_pointer),
		cmocka_unit_test(detect_reads_the_file_type_of_gguf),
		cmocka_unit_test(detect_passes_on_a_read_that_fails),
		cmocka_unit_test(detect_takes_an_empty_tree),
		cmocka_unit_test(param_text_is_short),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
