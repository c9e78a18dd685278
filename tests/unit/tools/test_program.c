/* The program itself, as a shell would start it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "command.h"
#include "core/json.h"

#define TEXT_MAX 16384

struct ended {
	int code;
	char out[TEXT_MAX], err[TEXT_MAX];
};

static void slurp(FILE *file, char text[TEXT_MAX])
{
	rewind(file);
	text[fread(text, 1, TEXT_MAX - 1, file)] = '\0';
	fclose(file);
}

/* In the child: nothing that allocates, and no way back. */
static void become(char *const *args, int out, int err)
{
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	execv(args[0], args);
	_exit(126);
}

static void run_into(struct ended *ended, FILE *out, va_list words)
{
	char *args[16] = {getenv("MODELCAR")};
	FILE *err = tmpfile();
	int status;

	assert_non_null(args[0]);
	assert_non_null(out);
	assert_non_null(err);
	for (size_t n = 1; (args[n] = va_arg(words, char *)) != NULL; n++)
		assert_true(n < 14);
	pid_t child = fork();
	if (child == 0)
		become(args, fileno(out), fileno(err));
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	ended->code = WEXITSTATUS(status);
	slurp(out, ended->out);
	slurp(err, ended->err);
}

static void run(struct ended *ended, ...)
{
	va_list words;

	va_start(words, ended);
	run_into(ended, tmpfile(), words);
	va_end(words);
}

static void run_into_file(struct ended *ended, FILE *out, ...)
{
	va_list words;

	va_start(words, out);
	run_into(ended, out, words);
	va_end(words);
}

static void assert_one_line(const char *text)
{
	const char *end = strchr(text, '\n');
	assert_non_null(end);
	assert_string_equal(end, "\n");
	assert_int_equal(strncmp(text, "modelcar: ", 10), 0);
}

static void every_help_goes_to_stdout_and_ends_with_0(void **state)
{
	struct ended e;
	for (const struct command *const *c = commands; *c; c++) {
		run(&e, (*c)->name, "--help", NULL);
		assert_int_equal(e.code, 0);
		assert_int_equal(strncmp(e.out, "Usage: modelcar ", 16), 0);
		assert_string_equal(e.err, "");
		struct ended same;
		run(&same, "help", (*c)->name, NULL);
		assert_string_equal(same.out, e.out);
	}
	run(&e, "--help", NULL);
	assert_int_equal(e.code, 0);
}

static void the_version_is_one_line(void **state)
{
	struct ended e;
	run(&e, "--version", NULL);
	assert_int_equal(e.code, 0);
	assert_int_equal(strncmp(e.out, "modelcar ", 9), 0);
}

static void misuse_is_one_line_and_2(void **state)
{
	struct ended e;
	run(&e, NULL);
	assert_int_equal(e.code, 2);
	assert_one_line(e.err);
	run(&e, "hlep", NULL);
	assert_int_equal(e.code, 2);
	assert_string_equal(e.err,
		"modelcar: unknown command 'hlep', did you mean 'help'; see 'modelcar help'\n");
	run(&e, "--quiet", "check", NULL);
	assert_int_equal(e.code, 2);
	assert_one_line(e.err);
	run(&e, "check", NULL);
	assert_int_equal(e.code, 2);
	assert_string_equal(e.err, "modelcar: DIR is missing; see 'modelcar check --help'\n");
	run(&e, "completion", "tcsh", NULL);
	assert_int_equal(e.code, 2);
	assert_string_equal(e.out, "");
}

static void a_result_that_cannot_be_written_is_32(void **state)
{
	struct ended e;
	run_into_file(&e, fopen("/dev/full", "r+"), "help", NULL);
	assert_int_equal(e.code, 32);
	assert_one_line(e.err);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void remove_file(const char *dir, const char *name)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	unlink(path);
}

static void check_tells_a_whole_model_from_a_broken_one(void **state)
{
	struct ended e;
	char dir[] = "/tmp/test_program.XXXXXX";
	assert_non_null(mkdtemp(dir));
	write_file(dir, "config.json", "{\"model_type\":\"llama\",\"architectures\":[\"LlamaForCausalLM\"]}");
	write_file(dir, "tokenizer.json", "{}");
	run(&e, "check", dir, NULL);
	assert_int_equal(e.code, 0);
	assert_non_null(strstr(e.out, "layout        huggingface\n"));
	assert_non_null(strstr(e.out, "architecture  LlamaForCausalLM\n"));

	write_file(dir, "model.safetensors.index.json", "{\"weight_map\":{\"a\":\"model-1.safetensors\"}}");
	run(&e, "check", "--json", dir, NULL);
	assert_int_equal(e.code, 16);
	assert_one_line(e.err);
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc =
		oci_json_parse(e.out, strlen(e.out), &OCI_JSON_SMALL, NULL);
	assert_non_null(doc);
	assert_string_equal(oci_json_text(doc, "architecture"), "LlamaForCausalLM");
	assert_string_equal(oci_json_text(oci_json_at(oci_json_get(doc, "findings"), 0), "level"), "error");

	remove_file(dir, "config.json");
	remove_file(dir, "tokenizer.json");
	remove_file(dir, "model.safetensors.index.json");
	rmdir(dir);
	run(&e, "check", dir, NULL);
	assert_int_equal(e.code, 10);
	assert_one_line(e.err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_help_goes_to_stdout_and_ends_with_0),
		cmocka_unit_test(the_version_is_one_line),
		cmocka_unit_test(misuse_is_one_line_and_2),
		cmocka_unit_test(a_result_that_cannot_be_written_is_32),
		cmocka_unit_test(check_tells_a_whole_model_from_a_broken_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
