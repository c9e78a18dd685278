#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "memory_tree.h"

#define LLAMA                                                                                                \
	"{\"_name_or_path\":\"meta/"                                                                         \
	"Tiny-1B\",\"model_type\":\"llama\",\"architectures\":[\"LlamaForCausalLM\"],"                       \
	"\"torch_dtype\":\"bfloat16\"}"
#define ONE_TENSOR "{\"a\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[0,8]}}"
#define INDEX                                                                                                \
	"{\"metadata\":{\"total_size\":16},\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\","      \
	"\"b\":\"model-00002-of-00002.safetensors\",\"c\":\"model-00002-of-00002.safetensors\"}}"

static struct oci_model_info inspect(struct memory_tree *m)
{
	struct oci_model_info info = {0};
	struct oci_error err = {0};

	if (oci_model_inspect(&m->tree, &info, &err) < 0)
		fail_msg("%s", err.text);
	print_findings(&info);
	memory_clear(m);
	return info;
}

static void huggingface_model_is_whole(void **state)
{
	struct memory_tree m = {0};

	memory_text(&m, "config.json", LLAMA);
	memory_text(&m, "tokenizer.json", "{}");
	memory_text(&m, "README.md", "---\nlanguage: en\nlicense: apache-2.0  # yes\n---\nlicense: no\n");
	memory_text(&m, "model.safetensors.index.json", INDEX);
	memory_safetensors(&m, "model-00001-of-00002.safetensors", ONE_TENSOR, 8);
	memory_safetensors(&m, "model-00002-of-00002.safetensors", ONE_TENSOR, 8);
	memory_safetensors(&m, "consolidated.safetensors", ONE_TENSOR, 8);
	struct oci_model_info info = inspect(&m);
	assert_int_equal(info.layout, OCI_MODEL_HUGGINGFACE);
	assert_int_equal(info.finding_count, 0);
	assert_string_equal(info.name, "Tiny-1B");
	assert_string_equal(info.family, "llama");
	assert_string_equal(info.architecture, "LlamaForCausalLM");
	assert_string_equal(info.format, "safetensors");
	assert_string_equal(info.precision, "f16");
	assert_string_equal(info.license, "apache-2.0");
	assert_null(info.quantization);
	assert_int_equal(info.parameters, 8);
	oci_model_info_clear(&info);
}

static void huggingface_finds_a_shard_that_is_missing_once(void **state)
{
	struct memory_tree m = {0};

	memory_text(&m, "config.json", LLAMA);
	memory_text(&m, "tokenizer.model", "");
	memory_text(&m, "model.safetensors.index.json", INDEX);
	memory_safetensors(&m, "model-00001-of-00002.safetensors", ONE_TENSOR, 8);
	struct oci_model_info info = inspect(&m);
	assert_true(has_finding(&info, OCI_FINDING_ERROR, "model.safetensors.index.json",
		"'model-00002-of-00002.safetensors'"));
	assert_int_equal(info.finding_count, 1);
	oci_model_info_clear(&info);
}

static void huggingface_finds_a_shard_cut_short_and_one_no_index_names(void **state)
{
	struct memory_tree m = {0};

	memory_text(&m, "config.json", LLAMA);
	memory_text(&m, "tokenizer.model", "");
	memory_text(&m, "model.safetensors.index.json", INDEX);
	memory_safetensors(&m, "model-00001-of-00002.safetensors", ONE_TENSOR, 8);
	memory_safetensors(&m, "model-00002-of-00002.safetensors", ONE_TENSOR, 7);
	memory_safetensors(&m, "model-00003-of-00003.safetensors", ONE_TENSOR, 8);
	struct oci_model_info info = inspect(&m);
	assert_true(has_finding(&info, OCI_FINDING_ERROR, "model-00002-of-00002.safetensors", "cut short"));
	assert_true(has_finding(&info, OCI_FINDING_WARNING, "model-00003-of-00003.safetensors", "no index"));
	assert_int_equal(info.finding_count, 2);
	oci_model_info_clear(&info);
}

static void huggingface_finds_a_gap_in_a_row_without_an_index(void **state)
{
	struct memory_tree m = {0};

	memory_text(&m, "config.json", LLAMA);
	memory_text(&m, "tokenizer.model", "");
	memory_safetensors(&m, "model-00001-of-00003.safetensors", ONE_TENSOR, 8);
	memory_safetensors(&m, "model-00003-of-00003.safetensors", ONE_TENSOR, 8);
	struct oci_model_info info = inspect(&m);
	assert_true(has_finding(&info, OCI_FINDING_ERROR, "model-00002-of-00003.safetensors", "missing"));
	assert_int_equal(info.finding_count, 1);
	oci_model_info_clear(&info);
}

static void huggingface_pipeline_has_an_index_in_a_folder(void **state)
{
	struct memory_tree m = {0};

	memory_text(&m, "model_index.json", "{\"_class_name\":\"FluxPipeline\"}");
	memory_text(&m, "transformer/config.json", "{\"_class_name\":\"FluxTransformer2DModel\"}");
	memory_text(&m, "transformer/diffusion_pytorch_model.safetensors.index.json",
		"{\"weight_map\":{\"a\":\"diffusion_pytorch_model-00001-of-00002.safetensors\","
		"\"b\":\"diffusion_pytorch_model-00002-of-00002.safetensors\"}}");
	memory_safetensors(
		&m, "transformer/diffusion_pytorch_model-00001-of-00002.safetensors", ONE_TENSOR, 8);
	memory_safetensors(&m, "diffusion_pytorch_model-00002-of-00002.safetensors", ONE_TENSOR, 8);
	struct oci_model_info info = inspect(&m);
	assert_int_equal(info.layout, OCI_MODEL_HUGGINGFACE);
	assert_string_equal(info.architecture, "FluxPipeline");
	assert_true(has_finding(&info, OCI_FINDING_ERROR,
		"transformer/diffusion_pytorch_model.safetensors.index.json", "00002-of-00002"));
	oci_model_info_clear(&info);
}

static void huggingface_reads_an_index_of_bin_files(void **state)
{
	struct memory_tree m = {0};

	memory_text(&m, "config.json", "{\"model_type\":\"bert\"}");
	memory_text(&m, "pytorch_model.bin.index.json",
		"{\"weight_map\":{\"a\":\"pytorch_model-00001-of-00001.bin\"}}");
	struct oci_model_info info = inspect(&m);
	assert_true(has_finding(&info, OCI_FINDING_ERROR, "pytorch_model.bin.index.json", "missing"));
	oci_model_info_clear(&info);
}

static void huggingface_finds_json_that_is_none(void **state)
{
	struct memory_tree m = {0}, index = {0};

	memory_text(&m, "config.json", "{\"model_type\": llama}");
	memory_safetensors(&m, "model.safetensors", ONE_TENSOR, 8);
	struct oci_model_info info = inspect(&m);
	assert_int_equal(info.layout, OCI_MODEL_HUGGINGFACE);
	assert_true(has_finding(&info, OCI_FINDING_ERROR, "config.json", "not JSON"));
	oci_model_info_clear(&info);

	memory_text(&index, "model.safetensors.index.json", "{\"metadata\":{}}");
	info = inspect(&index);
	assert_true(has_finding(&info, OCI_FINDING_ERROR, "model.safetensors.index.json", "weight_map"));
	oci_model_info_clear(&info);
}

static void huggingface_takes_what_python_writes(void **state)
{
	struct memory_tree m = {0};

	memory_text(&m, "config.json",
		"{\"time_step_limit\":[0.0,Infinity,-Infinity,NaN,-1e-5],\"model_type\":\"mamba2\",\"torch_"
		"dtype\":"
		"\"bfloat16\",\"_name_or_path\":null,\"quantization_config\":{\"bits\":4,\"quant_method\":"
		"\"awq\"}}");
	struct oci_model_info info = inspect(&m);
	assert_int_equal(info.finding_count, 0);
	assert_string_equal(info.family, "mamba2");
	assert_string_equal(info.precision, "bf16");
	assert_string_equal(info.quantization, "awq");
	assert_null(info.name);
	oci_model_info_clear(&info);
}

static void huggingface_warns_of_a_text_model_without_tokenizer(void **state)
{
	struct memory_tree m = {0}, image = {0};

	memory_text(&m, "config.json", LLAMA);
	memory_text(&m, "tokenizer_config.json", "{}");
	struct oci_model_info info = inspect(&m);
	assert_true(has_finding(&info, OCI_FINDING_WARNING, "config.json", "without a tokenizer"));
	oci_model_info_clear(&info);

	memory_text(&image, "config.json", "{\"architectures\":[\"ViTForImageClassification\"]}");
	info = inspect(&image);
	assert_int_equal(info.finding_count, 0);
	oci_model_info_clear(&info);
}

static void assert_license(const char *card, const char *license)
{
	struct memory_tree m = {0};

	memory_text(&m, "README.md", card);
	struct oci_model_info info = inspect(&m);
	if (license)
		assert_string_equal(info.license, license);
	else
		assert_null(info.license);
	oci_model_info_clear(&info);
}

static void huggingface_reads_the_license_of_the_front_matter(void **state)
{
	assert_license("---\r\nlicense: \"mit\"\r\n---\r\n", "mit");
	assert_license("---\nlicense:\n- cc-by-4.0\n- mit\n---\n", "cc-by-4.0");
	assert_license("---\nlicense:\nlanguage: en\n---\n", NULL);
	assert_license("---\ntags: x\n---\nlicense: mit\n", NULL);
	assert_license("license: mit\n", NULL);
	assert_license("---", NULL);
	assert_license("", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(huggingface_model_is_whole),
		cmocka_unit_test(huggingface_finds_a_shard_that_is_missing_once),
		cmocka_unit_test(huggingface_finds_a_shard_cut_short_and_one_no_index_names),
		cmocka_unit_test(huggingface_finds_a_gap_in_a_row_without_an_index),
		cmocka_unit_test(huggingface_pipeline_has_an_index_in_a_folder),
		cmocka_unit_test(huggingface_reads_an_index_of_bin_files),
		cmocka_unit_test(huggingface_finds_json_that_is_none),
		cmocka_unit_test(huggingface_takes_what_python_writes),
		cmocka_unit_test(huggingface_warns_of_a_text_model_without_tokenizer),
		cmocka_unit_test(huggingface_reads_the_license_of_the_front_matter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
