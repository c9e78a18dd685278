#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "command.h"
#include "core/reference.h"
#include "dest.h"
#include "engine/pull.h"

#define MANIFEST_MAX (256 * OCI_KIB)
#define PVC_ROOT "/pvc"
#define CRON_NAME_MAX 52 /* Kubernetes adds 11 for the Job's */
#define STEM_MAX 30      /* of the name, so that a CronJob's stays below that */
#define SCHEDULE_FIELDS 5

struct job_flags {
	const char *image, *name, *secret, *ca_config_map, *cron;
	enum oci_publish publish;
	bool openshift, suspend, plain_http;
};

/* A manifest that is written line by line. The first failure sticks. */
struct manifest {
	struct oci_buf text;
	unsigned indent;
	bool failed;
	struct oci_error *err;
};

static void line(struct manifest *m, unsigned depth, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void line(struct manifest *m, unsigned depth, const char *format, ...)
{
	char text[1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (m->failed)
		return;
	if (len < 0 || (size_t)len >= sizeof text)
		m->failed = oci_fail(m->err, OCI_E_USAGE, "a name of %d bytes is too long for a manifest", len) < 0;
	else
		m->failed = oci_buf_printf(&m->text, m->err, "%*s%s\n", (int)(2 * (m->indent + depth)), "", text) < 0;
}

static void put_security(struct manifest *m, const struct job_flags *flags)
{
	line(m, 2, "securityContext:");
	line(m, 3, "runAsNonRoot: true");
	if (!flags->openshift) {
		line(m, 3, "runAsUser: 65534");
		line(m, 3, "runAsGroup: 65534");
		line(m, 3, "fsGroup: 65534");
		line(m, 3, "fsGroupChangePolicy: OnRootMismatch");
	}
	line(m, 3, "seccompProfile: {type: RuntimeDefault}");
}

static void put_args(struct manifest *m, const struct job_flags *flags, const char *ref, const char *dest)
{
	line(m, 4, "args:");
	line(m, 5, "- pull");
	line(m, 5, "- --pvc-root=" PVC_ROOT);
	if (flags->publish != OCI_PUBLISH_AUTO)
		line(m, 5, "- --publish=%s", dest_publish_modes[flags->publish]);
	if (flags->secret)
		line(m, 5, "- --authfile=/auth/.dockerconfigjson");
	if (flags->ca_config_map)
		line(m, 5, "- --ca-file=/ca/ca.crt");
	if (flags->plain_http)
		line(m, 5, "- --plain-http");
	line(m, 5, "- \"%s\"", ref);
	line(m, 5, "- \"%s\"", dest);
}

static void put_mounts(struct manifest *m, const struct job_flags *flags, const struct dest_claim *claim)
{
	const char *owner = claim->owner ? claim->owner : "", *slash = claim->owner ? "/" : "";

	line(m, 4, "volumeMounts:");
	line(m, 5, "- {name: models, mountPath: \"" PVC_ROOT "/%s%s%s\"}", owner, slash, claim->name);
	if (flags->secret)
		line(m, 5, "- {name: auth, mountPath: /auth, readOnly: true}");
	if (flags->ca_config_map)
		line(m, 5, "- {name: ca, mountPath: /ca, readOnly: true}");
	line(m, 2, "volumes:");
	line(m, 3, "- name: models");
	line(m, 4, "persistentVolumeClaim: {claimName: \"%s\"}", claim->name);
	if (flags->secret) {
		line(m, 3, "- name: auth");
		line(m, 4, "secret: {secretName: \"%s\"}", flags->secret);
	}
	if (flags->ca_config_map) {
		line(m, 3, "- name: ca");
		line(m, 4, "configMap: {name: \"%s\"}", flags->ca_config_map);
	}
}

static void put_container(struct manifest *m, const struct job_flags *flags)
{
	line(m, 2, "containers:");
	line(m, 3, "- name: pull");
	line(m, 4, "image: \"%s\"", flags->image);
	line(m, 4, "resources:");
	line(m, 5, "requests: {cpu: 250m, memory: 64Mi}");
	line(m, 5, "limits: {memory: 128Mi}");
	line(m, 4, "securityContext:");
	line(m, 5, "allowPrivilegeEscalation: false");
	line(m, 5, "readOnlyRootFilesystem: true");
	line(m, 5, "capabilities: {drop: [ALL]}");
}

/* What both kinds have: a Job's spec. */
static void put_spec(struct manifest *m, const struct job_flags *flags, const char *ref, const char *dest,
	const struct dest_claim *claim)
{
	line(m, 0, "spec:");
	if (flags->suspend && !flags->cron)
		line(m, 1, "suspend: true");
	/* A CronJob tries again by its schedule, and keeps a number of Jobs, not a time. */
	line(m, 1, "backoffLimit: %d", flags->cron ? 2 : 6);
	if (!flags->cron)
		line(m, 1, "ttlSecondsAfterFinished: 86400");
	line(m, 1, "podFailurePolicy:");
	line(m, 2, "rules:");
	line(m, 3, "- action: Ignore # a node that is drained; the next pod goes on where this one ended");
	line(m, 4, "onPodConditions: [{type: DisruptionTarget, status: \"True\"}]");
	line(m, 3, "- action: FailJob # another try would end the same");
	line(m, 4, "onExitCodes:");
	line(m, 5, "containerName: pull");
	line(m, 5, "operator: In");
	line(m, 5, "values: [2, 10, 11, 12, 13, 14, 15, 22, 30, 31, 34]");
	line(m, 1, "template:");
	m->indent += 1;
	line(m, 1, "spec:");
	line(m, 2, "restartPolicy: Never");
	line(m, 2, "automountServiceAccountToken: false");
	line(m, 2, "terminationGracePeriodSeconds: 60");
	put_security(m, flags);
	put_container(m, flags);
	put_args(m, flags, ref, dest);
	put_mounts(m, flags, claim);
	m->indent -= 1;
}

static void put_schedule(struct manifest *m, const struct job_flags *flags)
{
	line(m, 0, "spec:");
	line(m, 1, "schedule: \"%s\"", flags->cron);
	if (flags->suspend)
		line(m, 1, "suspend: true");
	line(m, 1, "concurrencyPolicy: Forbid");
	line(m, 1, "startingDeadlineSeconds: 600");
	line(m, 1, "successfulJobsHistoryLimit: 1");
	line(m, 1, "failedJobsHistoryLimit: 3");
	line(m, 1, "jobTemplate:");
	m->indent = 2;
}

/* Of "team/Qwen2_7B" qwen2-7b, as far as a name of Kubernetes takes it. */
static void stem_of(const char *repository, char out[STEM_MAX + 1])
{
	const char *slash = strrchr(repository, '/'), *at = slash ? slash + 1 : repository;
	size_t len = 0;

	for (; *at && len < STEM_MAX; at++) {
		bool good = (*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9');

		if (good || (len > 0 && out[len - 1] != '-'))
			out[len++] = good ? *at : '-';
	}
	while (len > 0 && out[len - 1] == '-')
		len--;
	out[len] = '\0';
}

/* A Job cannot be changed, so its name follows from all that is in it; a CronJob
 * keeps its name when the tag or its schedule changes. */
static char *name_of(const struct job_flags *flags, const struct oci_reference *ref, const char *dest,
	const struct oci_buf *spec)
{
	oci_autofree char *place = oci_str_printf("%s/%s %s", ref->host, ref->path, dest);
	const char *seed = flags->cron ? place : oci_buf_text(spec);
	struct oci_digest digest;
	char hex[OCI_DIGEST_TEXT_MAX], stem[STEM_MAX + 1];

	if (!place)
		return NULL;
	oci_digest_of(OCI_SHA256, seed, strlen(seed), &digest);
	oci_digest_hex(&digest, hex);
	stem_of(ref->path, stem);
	return oci_str_printf("pull-%s-%.8s", stem, hex);
}

static int print(const struct job_flags *flags, const struct oci_reference *ref, const char *text, const char *dest,
	const struct dest_claim *claim, struct oci_error *err)
{
	struct manifest m = {.err = err};
	oci_autofree char *made = NULL;
	const char *name = flags->name;

	oci_buf_init(&m.text, MANIFEST_MAX);
	if (flags->cron)
		put_schedule(&m, flags);
	put_spec(&m, flags, text, dest, claim);
	if (!m.failed && !name) {
		made = name_of(flags, ref, dest, &m.text);
		name = made;
		m.failed = !name && oci_fail_nomem(err) < 0;
	}
	if (!m.failed) {
		printf("apiVersion: batch/v1\nkind: %s\nmetadata:\n  name: \"%s\"\n", flags->cron ? "CronJob" : "Job", name);
		if (claim->owner)
			printf("  namespace: \"%s\"\n", claim->owner);
		printf("  labels: {app.kubernetes.io/name: modelcar, app.kubernetes.io/component: pull}\n%s",
			oci_buf_text(&m.text));
	}
	oci_buf_clear(&m.text);
	return m.failed ? -1 : 0;
}

static bool is_period(const char *text)
{
	static const char *const known[] = {"yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(text, known[i]) == 0)
			return true;
	return oci_str_starts(text, "every ") && strspn(text + 6, "0123456789hms.") == strlen(text + 6);
}

/* Five fields, or @daily and the like; the server knows which numbers a field takes. */
static bool is_schedule(const char *text)
{
	size_t fields = 0;

	if (*text == '@')
		return is_period(text + 1);
	while (*(text += strspn(text, " "))) {
		size_t len = strspn(text, "0123456789*/,-?abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

		if (len == 0)
			return false;
		text += len;
		fields++;
	}
	return fields == SCHEDULE_FIELDS;
}

static int check_name(const struct invocation *inv, const char *option, const char *value, bool label,
	struct oci_error *err)
{
	char shown[OCI_STR_ESCAPE_MAX];

	if (!value || (label ? dest_is_label(value) : dest_is_subdomain(value)))
		return 0;
	return command_misused(inv->command, err, "option '--%s': '%s' is no name of Kubernetes", option,
		oci_str_escape(value, shown));
}

static int check_image(const struct invocation *inv, struct oci_error *err)
{
	const struct job_flags *flags = inv->flags;
	OCI_CLEANUP(oci_reference_clear) struct oci_reference image = {0};
	char shown[OCI_STR_ESCAPE_MAX];

	if (!flags->image)
		return command_misused(inv->command, err,
			"which image has modelcar? say it with --image or MODELCAR_IMAGE; deploy/image/build.py makes one");
	if (oci_reference_parse(flags->image, &image, err) < 0)
		return -1;
	if (image.transport != OCI_TRANSPORT_REGISTRY || strstr(flags->image, "://"))
		return command_misused(inv->command, err, "option '--image': a kubelet takes HOST/REPO[:TAG][@DIGEST], not '%s'",
			oci_str_escape(flags->image, shown));
	return 0;
}

static int check_flags(const struct invocation *inv, struct oci_error *err)
{
	const struct job_flags *flags = inv->flags;
	char shown[OCI_STR_ESCAPE_MAX];

	if (check_image(inv, err) < 0)
		return -1;
	if (flags->cron && flags->name && strlen(flags->name) > CRON_NAME_MAX)
		return command_misused(inv->command, err, "option '--name': a CronJob's name has at most %d bytes, not %zu",
			CRON_NAME_MAX, strlen(flags->name));
	if (flags->cron && !is_schedule(flags->cron))
		return command_misused(inv->command, err, "option '--cron': '%s' is no schedule, as \"*/10 * * * *\" is",
			oci_str_escape(flags->cron, shown));
	return check_name(inv, "name", flags->name, true, err) < 0 ||
			check_name(inv, "secret", flags->secret, false, err) < 0 ||
			check_name(inv, "ca-config-map", flags->ca_config_map, false, err) < 0
		? -1
		: 0;
}

static int run(const struct invocation *inv, struct oci_error *err)
{
	const struct job_flags *flags = inv->flags;
	OCI_CLEANUP(oci_reference_clear) struct oci_reference ref = {0};
	OCI_CLEANUP(dest_claim_clear) struct dest_claim claim = {0};
	OCI_CLEANUP(oci_buf_clear) struct oci_buf text;
	const char *from = inv->operands[0], *dest = inv->operands[1];
	char shown[OCI_STR_ESCAPE_MAX];

	oci_buf_init(&text, 64 * OCI_KIB);
	if (check_flags(inv, err) < 0 || oci_reference_parse(from, &ref, err) < 0)
		return -1;
	if (ref.transport != OCI_TRANSPORT_REGISTRY)
		return command_misused(inv->command, err, "a pod cannot read '%s': put the image into a registry first",
			oci_str_escape(from, shown));
	if (!dest_is_claim(dest))
		return command_misused(inv->command, err, "'%s' is no claim; write pvc://[NAMESPACE:]NAME/PATH",
			oci_str_escape(dest, shown));
	if (dest_claim_parse(dest, &claim, err) < 0)
		return -1;
	if (strpbrk(claim.path, "\"\\$") || !oci_str_clean_utf8(claim.path))
		return command_misused(inv->command, err, "'%s' has a path that a manifest would change",
			oci_str_escape(dest, shown));
	if (oci_reference_format(&ref, &text, err) < 0)
		return -1;
	return print(flags, &ref, oci_buf_text(&text), dest, &claim, err);
}

static const struct opt opts[] = {
	{OPT_TEXT(0, "image", struct job_flags, image), .metavar = "REF",
		.help = "the image of modelcar itself, as deploy/image/build.py makes it"},
	{OPT_TEXT(0, "cron", struct job_flags, cron), .metavar = "SCHEDULE",
		.help = "a CronJob that keeps the volume in step with a tag"},
	{OPT_FLAG(0, "openshift", struct job_flags, openshift),
		.help = "leave user and group to the project's security context constraints"},
	{OPT_FLAG(0, "suspend", struct job_flags, suspend), .help = "begin suspended, until somebody resumes or copies it"},
	{OPT_TEXT(0, "name", struct job_flags, name), .metavar = "NAME",
		.help = "its name, instead of one that follows from the rest"},
	{OPT_TEXT(0, "secret", struct job_flags, secret), .metavar = "NAME",
		.help = "a secret of type kubernetes.io/dockerconfigjson with the registry's credentials"},
	{OPT_TEXT(0, "ca-config-map", struct job_flags, ca_config_map), .metavar = "NAME",
		.help = "a ConfigMap whose ca.crt is trusted as well"},
	{OPT_FLAG(0, "plain-http", struct job_flags, plain_http), .help = "the pod speaks http to the registry"},
	{OPT_CHOICE(0, "publish", struct job_flags, publish), .metavar = "MODE", .choices = dest_publish_modes,
		.preset = "auto", .help = "how the tree appears, as of pull"},
	{0},
};

static const struct opt_operand operands[] = {
	{.name = "REF", .help = "the model in a registry: HOST/REPO[:TAG][@DIGEST]", .min = 1, .max = 1},
	{.name = "DEST", .help = "pvc://[NAMESPACE:]NAME/PATH, a directory in a persistent volume claim", .min = 1, .max = 1},
	{0},
};

static const struct opt_group groups[] = {
	{.title = "Options", .opts = opts},
	{0},
};

static const struct example examples[] = {
	{"fill a volume once", "job --image reg.example/modelcar:1 reg.example/qwen2:1 pvc://models/q"},
	{0},
};

const struct command cmd_job = {
	.name = "job",
	.summary = "print the Kubernetes Job that pulls a model into a volume",
	.about = "Prints YAML for 'kubectl apply -f -'; no cluster is spoken to, and nothing is checked there. The pod "
		 "runs as any user, in 128 MiB, with a read-only root; what a pod that was ended left is used by the next "
		 "one. A failure that would repeat itself ends the Job at once.",
	.operands = operands,
	.groups = groups,
	.examples = examples,
	.flags_size = sizeof(struct job_flags),
	.run = run,
};
