#include "model/detect.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"

struct rule {
	const char *pattern; /* a glob on the lower-case base name */
	enum oci_file_kind kind;
};

/* The first that matches decides: license.py is code, LICENSE-2.0 is not. */
static const struct rule rules[] = {
	{"merges.txt", OCI_KIND_CONFIG},
	{"vocab*.txt", OCI_KIND_CONFIG},
	{"*labels*.txt", OCI_KIND_CONFIG},
	{"requirements*.txt", OCI_KIND_CODE},
	{"cmakelists.txt", OCI_KIND_CODE},
	{"*.safetensors", OCI_KIND_WEIGHTS},
	{"*.gguf", OCI_KIND_WEIGHTS},
	{"*.bin", OCI_KIND_WEIGHTS},
	{"*.pt", OCI_KIND_WEIGHTS},
	{"*.pt2", OCI_KIND_WEIGHTS},
	{"*.pth", OCI_KIND_WEIGHTS},
	{"*.ckpt", OCI_KIND_WEIGHTS},
	{"*.onnx", OCI_KIND_WEIGHTS},
	{"*.onnx_data*", OCI_KIND_WEIGHTS},
	{"*.onnx.data", OCI_KIND_WEIGHTS},
	{"*.engine", OCI_KIND_WEIGHTS},
	{"*.plan", OCI_KIND_WEIGHTS},
	{"*.trt", OCI_KIND_WEIGHTS},
	{"*.h5", OCI_KIND_WEIGHTS},
	{"*.hdf5", OCI_KIND_WEIGHTS},
	{"*.keras", OCI_KIND_WEIGHTS},
	{"*.pb", OCI_KIND_WEIGHTS},
	{"*.graphdef", OCI_KIND_WEIGHTS},
	{"*.data-[0-9]*-of-[0-9]*", OCI_KIND_WEIGHTS},
	{"*.msgpack", OCI_KIND_WEIGHTS},
	{"*.npz", OCI_KIND_WEIGHTS},
	{"*.npy", OCI_KIND_WEIGHTS},
	{"*.tflite", OCI_KIND_WEIGHTS},
	{"*.mlmodel", OCI_KIND_WEIGHTS},
	{"*.dali", OCI_KIND_WEIGHTS},
	{"*.nemo", OCI_KIND_WEIGHTS},
	{"*.ot", OCI_KIND_WEIGHTS},
	{"*.pkl", OCI_KIND_WEIGHTS},
	{"*.joblib", OCI_KIND_WEIGHTS},
	{"*.ubj", OCI_KIND_WEIGHTS},
	{"*.mar", OCI_KIND_WEIGHTS},
	{"*.llamafile", OCI_KIND_WEIGHTS},
	{"*tokenizer.model*", OCI_KIND_CONFIG},
	{"*.json", OCI_KIND_CONFIG},
	{"*.jsonl", OCI_KIND_CONFIG},
	{"*.yaml", OCI_KIND_CONFIG},
	{"*.yml", OCI_KIND_CONFIG},
	{"*.toml", OCI_KIND_CONFIG},
	{"*.ini", OCI_KIND_CONFIG},
	{"*.cfg", OCI_KIND_CONFIG},
	{"*.conf", OCI_KIND_CONFIG},
	{"*.xml", OCI_KIND_CONFIG},
	{"*.pbtxt", OCI_KIND_CONFIG},
	{"*.model", OCI_KIND_CONFIG},
	{"*.tiktoken", OCI_KIND_CONFIG},
	{"*.jinja", OCI_KIND_CONFIG},
	{"*.vocab", OCI_KIND_CONFIG},
	{"*.bpe", OCI_KIND_CONFIG},
	{"*.modelcard", OCI_KIND_CONFIG},
	{"modelfile", OCI_KIND_CONFIG},
	{".gitattributes", OCI_KIND_CONFIG},
	{"*.py", OCI_KIND_CODE},
	{"*.sh", OCI_KIND_CODE},
	{"*.ipynb", OCI_KIND_CODE},
	{"*.c", OCI_KIND_CODE},
	{"*.cc", OCI_KIND_CODE},
	{"*.cpp", OCI_KIND_CODE},
	{"*.cu", OCI_KIND_CODE},
	{"*.h", OCI_KIND_CODE},
	{"*.hpp", OCI_KIND_CODE},
	{"*.go", OCI_KIND_CODE},
	{"*.rs", OCI_KIND_CODE},
	{"*.js", OCI_KIND_CODE},
	{"*.ts", OCI_KIND_CODE},
	{"*.so", OCI_KIND_CODE},
	{"makefile", OCI_KIND_CODE},
	{"dockerfile*", OCI_KIND_CODE},
	{"license*", OCI_KIND_DOC},
	{"licence*", OCI_KIND_DOC},
	{"notice*", OCI_KIND_DOC},
	{"readme*", OCI_KIND_DOC},
	{"*.md", OCI_KIND_DOC},
	{"*.txt", OCI_KIND_DOC},
	{"*.rst", OCI_KIND_DOC},
	{"*.pdf", OCI_KIND_DOC},
	{"*.html", OCI_KIND_DOC},
};

static const char *const layout_names[] = {
	[OCI_MODEL_PLAIN] = "plain",
	[OCI_MODEL_HUGGINGFACE] = "huggingface",
	[OCI_MODEL_GGUF] = "gguf",
	[OCI_MODEL_TRITON_MODEL] = "triton-model",
	[OCI_MODEL_TRITON_REPOSITORY] = "triton-repository",
	[OCI_MODEL_TENSORRT_LLM] = "tensorrt-llm",
};

static const char *const kind_names[] = {
	[OCI_KIND_WEIGHTS] = "weights",
	[OCI_KIND_CONFIG] = "config",
	[OCI_KIND_DOC] = "doc",
	[OCI_KIND_CODE] = "code",
	[OCI_KIND_OTHER] = "other",
};

const char *oci_model_layout_name(enum oci_model_layout layout)
{
	return layout_names[layout];
}

const char *oci_file_kind_name(enum oci_file_kind kind)
{
	return kind_names[kind];
}

static enum oci_file_kind kind_of_base(const char *base)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		if (oci_str_glob(rules[i].pattern, base))
			return rules[i].kind;
	}
	return OCI_KIND_OTHER;
}

enum oci_file_kind oci_file_kind_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	char lower[256];
	size_t len = strlen(base);

	if (len >= sizeof lower)
		return OCI_KIND_OTHER;
	for (size_t i = 0; i <= len; i++)
		lower[i] = (char)tolower((unsigned char)base[i]);
	return kind_of_base(lower);
}
