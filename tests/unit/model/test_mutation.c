/* Headers with bytes changed, put in, cut out and doubled: whatever they have
 * become, the inspection ends in findings and in nothing else. Run under
 * AddressSanitizer it shows reads beyond a buffer, too. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "memory_tree.h"

#define ROUNDS 10000
#define CHANGES_MAX 8
#define FILE_MAX 4096

static const char config[] =
	"{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"torch_dtype\":\"bfloat16\","
	"\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4},\"rope\":[1.5e3,-2,null,true,\"\\u00fc\"]}";
static const char engine[] = "{\"version\":\"1\",\"pretrained_config\":{\"architecture\":\"A\",\"dtype\":\"float16\","
	"\"mapping\":{\"world_size\":1,\"tp_size\":1},\"quantization\":{\"quant_algo\":null}}}";
static const char weight_map[] =
	"{\"metadata\":{\"total_size\":8},\"weight_map\":{\"a\":\"m-00001-of-00002.safetensors\","
	"\"b\":\"m-00002-of-00002.safetensors\"}}";
static const char pbtxt[] = "name: \"m\" # a model\nplatform: 'onnxruntime' \"_onnx\"\ninput [ { name: \"x\" dims: [ -1, 3 ] } ]\n"
	"version_policy: { specific { versions: [1, 2] } }\ninstance_group < count: 1 >\n";
static const char card[] = "---\nlicense: apache-2.0\ntags:\n- x\nlicense_name: \"y\"\n---\n# Model\n";
static const char safetensors[] = "\x93\0\0\0\0\0\0\0"
	"{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[0,8]},"
	"\"b\":{\"dtype\":\"F8_E4M3\",\"shape\":[],\"data_offsets\":[8,9]}}   012345678";
static const char gguf[] = "GGUF\3\0\0\0\1\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0"
	"\x14\0\0\0\0\0\0\0general.architecture\x08\0\0\0\5\0\0\0\0\0\0\0llama"
	"\x11\0\0\0\0\0\0\0general.file_type\4\0\0\0\1\0\0\0"
	"\x15\0\0\0\0\0\0\0tokenizer.ggml.tokens\x09\0\0\0\x08\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0a\1\0\0\0\0\0\0\0b"
	"\1\0\0\0\0\0\0\0t\1\0\0\0\4\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
	"0123456701234567012345670123456701234567";

static const struct {
	const char *path, *data, *beside;
	size_t len;
} seeds[] = {
	{"config.json", config, "model.safetensors", sizeof config - 1},
	{"config.json", engine, "rank0.engine", sizeof engine - 1},
	{"model.safetensors.index.json", weight_map, "m-00001-of-00002.safetensors", sizeof weight_map - 1},
	{"m/config.pbtxt", pbtxt, "m/1/model.onnx", sizeof pbtxt - 1},
	{"README.md", card, "config.json", sizeof card - 1},
	{"model.safetensors", safetensors, "config.json", sizeof safetensors - 1},
	{"m.gguf", gguf, "README.md", sizeof gguf - 1},
};

/* xorshift64: the same row on every machine. */
static size_t draw(uint64_t *state, size_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return below ? (size_t)(*state % below) : 0;
}

static void put(char *data, size_t *len, size_t at, const char *text, size_t n)
{
	if (*len + n > FILE_MAX)
		return;
	memmove(data + at + n, data + at, *len - at);
	memcpy(data + at, text, n);
	*len += n;
}

static void change(char *data, size_t *len, uint64_t *state)
{
	static const char *const tokens[] = {"\"", "{", "}", "[", "]", ",", ":", "\\", "\\u0000", "\\ud800", "<", ">",
		"#", "---\n", "18446744073709551616", "-1", "1e999", "\xff\xff\xff\xff\xff\xff\xff\xff", "\xff\xff\xff\x7f"};
	size_t at = draw(state, *len), n = 1 + draw(state, 40);

	if (n > *len - at)
		n = *len - at;
	switch (draw(state, 6)) {
	case 0:
		data[at] = (char)draw(state, 256);
		break;
	case 1:
		data[at] ^= (char)(1 << draw(state, 8));
		break;
	case 2:
		memmove(data + at, data + at + n, *len - at - n);
		*len -= n;
		break;
	case 3: {
		const char *token = tokens[draw(state, sizeof tokens / sizeof *tokens)];
		put(data, len, at, token, strlen(token));
		break;
	}
	case 4: {
		char copy[64];
		memcpy(copy, data + at, n);
		put(data, len, draw(state, *len), copy, n);
		break;
	}
	default:
		*len = at + (draw(state, 4) ? n : 0);
	}
	if (!*len)
		data[(*len)++] = '\0';
}

static void inspect_changed(size_t seed, uint64_t round)
{
	struct memory_tree m = {0};
	struct oci_model_info info = {0};
	struct oci_error err = {0};
	uint64_t state = (round + 1) * UINT64_C(0x9e3779b97f4a7c15);
	char data[FILE_MAX];
	size_t len = seeds[seed].len;

	memcpy(data, seeds[seed].data, len);
	for (size_t n = round ? 1 + draw(&state, CHANGES_MAX) : 0; n > 0; n--)
		change(data, &len, &state);
	memory_add(&m, seeds[seed].path, data, len);
	memory_text(&m, seeds[seed].beside, "{}");
	if (oci_model_inspect(&m.tree, &info, &err) < 0)
		fail_msg("%s, round %llu: %s", seeds[seed].path, (unsigned long long)round, err.text);
	oci_model_info_clear(&info);
	memory_clear(&m);
}

static void inspection_of_changed_headers_ends_in_findings(void **state)
{
	for (size_t seed = 0; seed < sizeof seeds / sizeof *seeds; seed++)
		for (uint64_t round = 0; round < ROUNDS; round++)
			inspect_changed(seed, round);
}

static void the_unchanged_headers_are_right(void **state)
{
	static const size_t whole[] = {3, 5, 6};

	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
		struct memory_tree m = {0};
		struct oci_model_info info = {0};
		memory_add(&m, seeds[whole[i]].path, seeds[whole[i]].data, seeds[whole[i]].len);
		if (whole[i] == 3) {
			memory_text(&m, "m/1/model.onnx", "x");
			memory_text(&m, "m/2/model.onnx", "x");
		}
		assert_int_equal(oci_model_inspect(&m.tree, &info, NULL), 0);
		print_findings(&info);
		assert_int_equal(info.finding_count, 0);
		oci_model_info_clear(&info);
		memory_clear(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_unchanged_headers_are_right),
		cmocka_unit_test(inspection_of_changed_headers_ends_in_findings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
