#include "http/auth.h"

#include <pthread.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "core/json.h"
#include "http/challenge.h"
#include "http/credentials.h"
#include "http/exchange.h"
#include "http/retry.h"

#define TOKENS_MAX 16
#define REFUSED_MAX 2 /* fresh tokens, one after the other */
#define TOKEN_LIFE_S 60
#define TOKEN_LIFE_MAX_S 86400
#define TOKEN_ANSWER_MAX OCI_MIB
#define CLIENT_ID "modelcar"

struct token {
	char *scope;
	char *value; /* "Bearer …"; NULL: to be fetched */
	uint64_t renew_ms;
	bool proven;      /* the registry has taken it */
	unsigned refused; /* in a row, none of them proven */
};

struct oci_auth {
	struct oci_http *http;
	char *resource;
	struct oci_strings authfiles;
	pthread_mutex_t lock; /* guards what follows */
	bool looked_up;
	struct oci_error lookup; /* how that failed: a helper that hangs is asked once */
	struct oci_credentials credentials;
	struct oci_challenge challenge; /* the last one; empty: not asked yet */
	char *basic;                    /* "Basic …" */
	struct token tokens[TOKENS_MAX];
	size_t next; /* slot to be overwritten */
	struct oci_error outage; /* the last time that the token service was not to be had, */
	uint64_t outage_ms;      /* and when */
};

static void wipe(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

static void wipe_buf(struct oci_buf *buf)
{
	if (buf->data)
		explicit_bzero(buf->data, buf->len);
	oci_buf_clear(buf);
}

static int make_basic(struct oci_auth *auth, struct oci_error *err)
{
	if (!auth->credentials.username || !auth->credentials.password)
		return 0;

	OCI_CLEANUP(wipe_buf) struct oci_buf value;
	oci_buf_init(&value, OCI_AUTH_HEADER_MAX);
	oci_autofree char *pair = oci_str_printf("%s:%s", auth->credentials.username, auth->credentials.password);
	if (!pair)
		return oci_fail_nomem(err);
	int rc = oci_buf_puts(&value, "Basic ", err);
	if (rc == 0)
		rc = oci_str_base64(pair, strlen(pair), &value, err);
	explicit_bzero(pair, strlen(pair));
	return rc < 0 ? -1 : oci_str_set(&auth->basic, oci_buf_text(&value), err);
}

static int fill(struct oci_auth *auth, const struct oci_http_options *o, struct oci_error *err)
{
	for (size_t i = 0; o->authfiles && i < o->authfiles->count; i++)
		if (oci_strings_add(&auth->authfiles, o->authfiles->items[i], err) < 0)
			return -1;
	if (o->credentials && oci_credentials_copy(&auth->credentials, o->credentials, err) < 0)
		return -1;
	auth->looked_up = o->credentials != NULL;
	if (auth->looked_up && make_basic(auth, err) < 0)
		return -1;
	return oci_str_set(&auth->resource, o->credentials_for, err);
}

struct oci_auth *oci_auth_new(struct oci_http *http, const struct oci_http_options *options,
	struct oci_error *err)
{
	struct oci_auth *auth = calloc(1, sizeof *auth);

	if (!auth) {
		oci_fail_nomem(err);
		return NULL;
	}
	auth->http = http;
	pthread_mutex_init(&auth->lock, NULL);
	if (fill(auth, options, err) < 0) {
		oci_auth_free(auth);
		return NULL;
	}
	return auth;
}

void oci_auth_free(struct oci_auth *auth)
{
	if (!auth)
		return;
	for (size_t i = 0; i < TOKENS_MAX; i++) {
		free(auth->tokens[i].scope);
		wipe(&auth->tokens[i].value);
	}
	wipe(&auth->basic);
	oci_credentials_clear(&auth->credentials);
	oci_challenge_clear(&auth->challenge);
	free(auth->resource);
	oci_strings_clear(&auth->authfiles);
	pthread_mutex_destroy(&auth->lock);
	free(auth);
}

static int look_up(struct oci_auth *auth, struct oci_error *err)
{
	if (!auth->looked_up) {
		auth->looked_up = true;
		if (oci_credentials_find(&auth->authfiles, auth->resource, &auth->credentials, &auth->lookup) == 0)
			(void)make_basic(auth, &auth->lookup);
	}
	if (!auth->lookup.code)
		return 0;
	if (err && !err->code)
		*err = auth->lookup;
	return -1;
}

/* fetching a token */

static int check_realm(const struct oci_auth *auth, struct oci_error *err)
{
	OCI_CLEANUP(oci_url_clear) struct oci_url realm = {0};
	const char *text = auth->challenge.realm;

	if (!text)
		return oci_fail(err, OCI_E_FORMAT, "the registry asks for a token but names no token service");
	if (oci_url_parse(text, &realm, err) < 0)
		return oci_wrap(err, "the registry's token service");
	if (!realm.tls && oci_http_home(auth->http)->tls)
		return oci_fail(err, OCI_E_AUTH,
			"refused to send credentials to the token service '%s' over plain http", realm.origin);
	return 0;
}

/* Each of a list that spaces separate, as one parameter. */
static int add_scopes(struct oci_buf *url, const char *scopes, struct oci_error *err)
{
	while (*scopes) {
		size_t len = strcspn(scopes, " ");
		oci_autofree char *one = strndup(scopes, len);
		if (!one)
			return oci_fail_nomem(err);
		if (len > 0 && oci_url_add_query(url, "scope", one, err) < 0)
			return -1;
		scopes += len + (scopes[len] == ' ');
	}
	return 0;
}

/* The registry's own words when they name another repository than ours: behind
 * some proxies its names are longer. */
static const char *extra_scope(const struct oci_auth *auth, const char *scope)
{
	const char *theirs = auth->challenge.scope;
	const char *colon = theirs ? strrchr(theirs, ':') : NULL;

	if (!colon)
		return "";
	oci_autofree char *repository = strndup(theirs, (size_t)(colon - theirs) + 1);
	return !repository || strstr(scope, repository) ? "" : theirs;
}

/* "Not found" there must not look like an image that does not exist. */
static int expect_token(struct oci_auth *auth, const struct oci_http_request *ask,
	const struct oci_http_response *answer, struct oci_error *err)
{
	int status = answer->status;

	if (oci_retry_status(status))
		oci_pace_tell(&auth->http->pace, status, answer->retry_after_ms);
	if (status == 200 || oci_retry_status(status))
		return oci_http_expect(ask, answer, 200, err);
	return oci_http_fail(ask, err, OCI_E_AUTH, status == 401 || status == 403 ?
		"user name, password or identity token is wrong; log in again" :
		"status %d from the token service", status);
}

/* Such services exist that take only GET or only POST. */
static bool is_wrong_way(const struct oci_http_response *answer)
{
	return answer->status == 404 || answer->status == 405;
}

/* 1: it must be asked another way. */
static int get_token(struct oci_auth *auth, const char *scope, struct oci_http_response *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_buf_clear) struct oci_buf url;
	const struct oci_challenge *c = &auth->challenge;

	oci_buf_init(&url, OCI_URL_MAX);
	if (oci_buf_puts(&url, c->realm, err) < 0)
		return -1;
	if (c->service && oci_url_add_query(&url, "service", c->service, err) < 0)
		return -1;
	if (add_scopes(&url, scope, err) < 0 || add_scopes(&url, extra_scope(auth, scope), err) < 0)
		return -1;
	if (oci_url_add_query(&url, "client_id", CLIENT_ID, err) < 0)
		return -1;
	struct oci_http_request ask = {
		.method = "GET", .url = url.data, .authorization = auth->basic ? auth->basic : "",
	};
	if (oci_http_perform(auth->http, &ask, ret, err) < 0)
		return -1;
	return is_wrong_way(ret) ? 1 : expect_token(auth, &ask, ret, err);
}

static int add_field(struct oci_buf *form, const char *key, const char *value, struct oci_error *err)
{
	if (!value)
		return 0;
	if (oci_buf_printf(form, err, "%s%s=", form->len ? "&" : "", key) < 0)
		return -1;
	return oci_url_escape(value, form, err);
}

static int add_grant(const struct oci_credentials *c, struct oci_buf *form, struct oci_error *err)
{
	if (c->identity_token) {
		if (add_field(form, "grant_type", "refresh_token", err) < 0)
			return -1;
		return add_field(form, "refresh_token", c->identity_token, err);
	}
	if (add_field(form, "grant_type", "password", err) < 0 || add_field(form, "username", c->username, err) < 0)
		return -1;
	return add_field(form, "password", c->password, err);
}

/* 1: it must be asked another way. */
static int post_token(struct oci_auth *auth, const char *scope, struct oci_http_response *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(wipe_buf) struct oci_buf form;

	oci_buf_init(&form, OCI_AUTH_HEADER_MAX);
	if (!auth->credentials.identity_token && !auth->basic)
		return 1;
	if (add_grant(&auth->credentials, &form, err) < 0 ||
	    add_field(&form, "service", auth->challenge.service, err) < 0 ||
	    add_field(&form, "client_id", CLIENT_ID, err) < 0 || add_field(&form, "scope", scope, err) < 0)
		return -1;
	struct oci_http_request ask = {
		.method = "POST", .url = auth->challenge.realm, .authorization = "",
		.content_type = "application/x-www-form-urlencoded", .body = form.data, .body_len = form.len,
	};
	if (oci_http_perform(auth->http, &ask, ret, err) < 0)
		return -1;
	return is_wrong_way(ret) ? 1 : expect_token(auth, &ask, ret, err);
}

static int ask_service(struct oci_auth *auth, const char *scope, struct oci_http_response *ret,
	struct oci_error *err)
{
	bool by_post = auth->credentials.identity_token != NULL;

	for (int way = 0; way < 2; way++, by_post = !by_post) {
		int rc = by_post ? post_token(auth, scope, ret, err) : get_token(auth, scope, ret, err);
		if (rc != 1)
			return rc;
	}
	struct oci_http_request asked = {.method = "GET", .url = auth->challenge.realm};
	return oci_http_fail(&asked, err, OCI_E_AUTH,
		"status %d, there is no token service where the registry says it is", ret->status);
}

/* The service may hand out another identity token for the one it was given. */
static int keep_refresh_token(struct oci_auth *auth, const struct oci_json *doc, struct oci_error *err)
{
	const char *fresh = oci_json_text(doc, "refresh_token");

	if (!auth->credentials.identity_token || !fresh || !*fresh)
		return 0;
	wipe(&auth->credentials.identity_token);
	return oci_str_set(&auth->credentials.identity_token, fresh, err);
}

static int read_token(struct oci_auth *auth, const struct oci_http_response *answer, struct token *ret,
	struct oci_error *err)
{
	OCI_CLEANUP(oci_json_cleanup) struct oci_json *doc = NULL;
	uint64_t life_s = TOKEN_LIFE_S;

	doc = oci_json_parse(oci_buf_text(&answer->body), answer->body.len, &OCI_JSON_SMALL, err);
	if (!doc || keep_refresh_token(auth, doc, err) < 0)
		return oci_wrap(err, "the token service's answer");
	const char *value = oci_json_text(doc, "token");
	if (!value || !*value)
		value = oci_json_text(doc, "access_token");
	if (!value || !*value || strlen(value) > OCI_AUTH_HEADER_MAX - 16)
		return oci_fail(err, OCI_E_AUTH, "the token service's answer has no usable token");
	if (oci_json_u64(doc, "expires_in", &life_s) && life_s > TOKEN_LIFE_MAX_S)
		life_s = TOKEN_LIFE_MAX_S;
	ret->renew_ms = oci_clock_ms() + life_s * 750;
	ret->value = oci_str_printf("Bearer %s", value);
	return ret->value ? 0 : oci_fail_nomem(err);
}

static int fetch_token(struct oci_auth *auth, const char *scope, struct token *ret, struct oci_error *err)
{
	OCI_CLEANUP(oci_http_response_clear) struct oci_http_response answer;

	oci_http_response_init(&answer, TOKEN_ANSWER_MAX);
	if (check_realm(auth, err) < 0)
		return -1;
	int rc = ask_service(auth, scope, &answer, err);
	if (rc == 0)
		rc = read_token(auth, &answer, ret, err);
	if (answer.body.data)
		explicit_bzero(answer.body.data, answer.body.len);
	return rc;
}

/* the cache; the lock is held */

static struct token *find_token(struct oci_auth *auth, const char *scope)
{
	for (size_t i = 0; i < TOKENS_MAX; i++)
		if (auth->tokens[i].scope && strcmp(auth->tokens[i].scope, scope) == 0)
			return &auth->tokens[i];
	return NULL;
}

static struct token *token_slot(struct oci_auth *auth, const char *scope, struct oci_error *err)
{
	struct token *token = find_token(auth, scope);

	if (!token) {
		token = &auth->tokens[auth->next++ % TOKENS_MAX];
		wipe(&token->value);
		token->refused = 0;
		if (oci_str_set(&token->scope, scope, err) < 0)
			return NULL;
	}
	return token;
}

/* Who waited meanwhile for one that failed does not wait for the same again. */
static int fetch_once(struct oci_auth *auth, const char *scope, uint64_t since_ms, struct token *ret,
	struct oci_error *err)
{
	struct oci_error failure = {0};

	if (auth->outage.code && auth->outage_ms >= since_ms) {
		failure = auth->outage;
	} else {
		if (fetch_token(auth, scope, ret, &failure) == 0)
			return 0;
		if (oci_retry_failure(&failure)) {
			auth->outage = failure;
			auth->outage_ms = oci_clock_ms();
		}
	}
	if (err && !err->code)
		*err = failure;
	return -1;
}

static int bearer(struct oci_auth *auth, const char *scope, uint64_t since_ms, struct oci_buf *out,
	struct oci_error *err)
{
	struct token *token = find_token(auth, scope);

	if (!token || !token->value || oci_clock_ms() >= token->renew_ms) {
		struct token fresh = {0};
		if (fetch_once(auth, scope, since_ms, &fresh, err) < 0)
			return -1;
		token = token_slot(auth, scope, err);
		if (!token) {
			wipe(&fresh.value);
			return -1;
		}
		wipe(&token->value);
		token->value = fresh.value;
		token->renew_ms = fresh.renew_ms;
		token->proven = false;
	}
	return oci_buf_puts(out, token->value, err);
}

int oci_auth_header(struct oci_auth *auth, const char *scope, struct oci_buf *out, struct oci_error *err)
{
	uint64_t since_ms = oci_clock_ms();
	int rc = 0;

	pthread_mutex_lock(&auth->lock);
	if (auth->challenge.bearer)
		rc = bearer(auth, scope, since_ms, out, err);
	else if (auth->challenge.basic)
		rc = oci_buf_puts(out, auth->basic, err);
	pthread_mutex_unlock(&auth->lock);
	return rc;
}

void oci_auth_prove(struct oci_auth *auth, const char *scope, const char *sent)
{
	pthread_mutex_lock(&auth->lock);
	struct token *token = find_token(auth, scope);
	if (token && token->value && strcmp(sent, token->value) == 0) {
		token->proven = true;
		token->refused = 0;
	}
	pthread_mutex_unlock(&auth->lock);
}

static int accept_challenge(struct oci_auth *auth, const char *scope, const char *sent,
	struct oci_challenge *c, struct oci_error *err)
{
	struct token *token = find_token(auth, scope);

	if (look_up(auth, err) < 0)
		return -1;
	if (!c->bearer && (!c->basic || !auth->basic))
		return oci_fail(err, OCI_E_AUTH, c->basic ?
			"it wants a login; use --authfile, modelcar login or docker login" :
			"it wants a kind of login that is not supported");
	if (!c->bearer && strcmp(sent, auth->basic) == 0)
		return oci_fail(err, OCI_E_AUTH, "user name or password is wrong; log in again");
	/* another thread may have renewed it meanwhile */
	if (token && token->value && strcmp(sent, token->value) == 0) {
		wipe(&token->value);
		token->refused = token->proven ? 0 : token->refused + 1;
	}
	if (token && token->refused >= REFUSED_MAX)
		return oci_fail(err, OCI_E_AUTH, "it refuses the tokens of its own token service; log in again");
	oci_challenge_clear(&auth->challenge);
	auth->challenge = *c;
	*c = (struct oci_challenge){0};
	return 0;
}

int oci_auth_answer(struct oci_auth *auth, const char *scope, const char *sent,
	const struct oci_strings *challenges, struct oci_error *err)
{
	OCI_CLEANUP(oci_challenge_clear) struct oci_challenge c = {0};

	for (size_t i = 0; i < challenges->count; i++)
		if (oci_challenge_parse(challenges->items[i], &c, err) < 0)
			return -1;
	pthread_mutex_lock(&auth->lock);
	int rc = accept_challenge(auth, scope, sent, &c, err);
	pthread_mutex_unlock(&auth->lock);
	return rc;
}
