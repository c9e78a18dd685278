#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define YEAR_0 (-62167219200LL)       /* 0000-01-01T00:00:00Z */
#define END_OF_YEAR_9999 253402300799LL /* 9999-12-31T23:59:59Z */

uint64_t oci_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int64_t oci_clock_stamp_ns(const struct timespec *stamp)
{
	return (int64_t)((uint64_t)stamp->tv_sec * 1000000000u + (uint64_t)stamp->tv_nsec);
}

int64_t oci_clock_wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return oci_clock_stamp_ns(&now);
}

void oci_clock_sleep_ms(uint64_t wait_ms)
{
	const struct timespec until = oci_clock_deadline(wait_ms);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

void oci_clock_format(time_t when, char out[OCI_CLOCK_TEXT_MAX])
{
	struct tm utc;

	if (when < YEAR_0)
		when = YEAR_0;
	if (when > END_OF_YEAR_9999)
		when = END_OF_YEAR_9999;
	gmtime_r(&when, &utc);
	/* strftime() pads no year; the remainders tell the compiler that all fits. */
	snprintf(out, OCI_CLOCK_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02uZ",
		(unsigned)(utc.tm_year + 1900) % 10000, (unsigned)(utc.tm_mon + 1) % 100,
		(unsigned)utc.tm_mday % 100, (unsigned)utc.tm_hour % 100, (unsigned)utc.tm_min % 100,
		(unsigned)utc.tm_sec % 100);
}

int oci_clock_source_date(time_t *ret, struct oci_error *err)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	char safe[OCI_STR_ESCAPE_MAX];
	uint64_t seconds = 0;

	if (text && *text && (!oci_str_u64(text, &seconds) || seconds > END_OF_YEAR_9999))
		return oci_fail(err, OCI_E_USAGE, "SOURCE_DATE_EPOCH '%s' is not a number of seconds",
			oci_str_escape(text, safe));
	*ret = (time_t)seconds;
	return 0;
}

static bool take_char(const char **p, const char *any_of)
{
	if (!**p || !strchr(any_of, **p))
		return false;
	(*p)++;
	return true;
}

static bool take_text(const char **p, const char *text)
{
	if (!oci_str_starts(*p, text))
		return false;
	*p += strlen(text);
	return true;
}

static bool take_number(const char **p, int digits, int *ret)
{
	int value = 0;

	for (int i = 0; i < digits; i++) {
		char digit = (*p)[i];

		if (digit < '0' || digit > '9')
			return false;
		value = value * 10 + (digit - '0');
	}
	*p += digits;
	*ret = value;
	return true;
}

static bool take_month(const char **p, int *ret)
{
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
		"Nov", "Dec"};

	for (int i = 0; i < 12; i++) {
		if (take_text(p, months[i])) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool take_weekday(const char **p)
{
	static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
		"Saturday", "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

	for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
		if (take_text(p, days[i]))
			return true;
	}
	return false;
}

static bool take_time(const char **p, struct tm *utc)
{
	return take_number(p, 2, &utc->tm_hour) && take_char(p, ":") && take_number(p, 2, &utc->tm_min) &&
		take_char(p, ":") && take_number(p, 2, &utc->tm_sec);
}

static bool valid(const struct tm *utc)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year = utc->tm_year + 1900;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return utc->tm_mon >= 0 && utc->tm_mon < 12 && utc->tm_mday >= 1 &&
		utc->tm_mday <= days[utc->tm_mon] + (leap && utc->tm_mon == 1) && utc->tm_hour < 24 &&
		utc->tm_min < 60 && utc->tm_sec <= 60;
}

/* "Z" or "+02:00", in seconds. */
static bool take_offset(const char **p, int *ret)
{
	bool west = **p == '-';
	int hours, minutes;

	*ret = 0;
	if (take_char(p, "Zz"))
		return true;
	if (!take_char(p, "+-") || !take_number(p, 2, &hours) || !take_char(p, ":") ||
	    !take_number(p, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret = (hours * 60 + minutes) * (west ? -60 : 60);
	return true;
}

static bool parse_rfc3339(const char *p, struct tm *utc, int *offset)
{
	if (!take_number(&p, 4, &utc->tm_year) || !take_char(&p, "-") || !take_number(&p, 2, &utc->tm_mon) ||
	    !take_char(&p, "-") || !take_number(&p, 2, &utc->tm_mday) || !take_char(&p, "Tt ") ||
	    !take_time(&p, utc))
		return false;
	utc->tm_year -= 1900;
	utc->tm_mon -= 1;
	if (take_char(&p, ".")) {
		if (!take_char(&p, "0123456789"))
			return false;
		p += strspn(p, "0123456789");
	}
	return take_offset(&p, offset) && *p == '\0';
}

/* "06 Nov 1994 08:49:37 GMT" and, obsolete, "06-Nov-94 08:49:37 GMT" */
static bool parse_http_date(const char *p, struct tm *utc)
{
	bool short_year = false;

	if (!take_number(&p, 2, &utc->tm_mday) || !take_char(&p, " -") || !take_month(&p, &utc->tm_mon))
		return false;
	if (take_char(&p, "-"))
		short_year = true;
	else if (!take_char(&p, " "))
		return false;
	if (!take_number(&p, short_year ? 2 : 4, &utc->tm_year) || !take_char(&p, " ") ||
	    !take_time(&p, utc) || !take_text(&p, " GMT"))
		return false;
	if (!short_year)
		utc->tm_year -= 1900;
	else if (utc->tm_year < 70)
		utc->tm_year += 100;
	return *p == '\0';
}

/* "Nov  6 08:49:37 1994" */
static bool parse_asctime(const char *p, struct tm *utc)
{
	int day_digits = 2;

	if (!take_month(&p, &utc->tm_mon) || !take_char(&p, " "))
		return false;
	if (take_char(&p, " "))
		day_digits = 1;
	if (!take_number(&p, day_digits, &utc->tm_mday) || !take_char(&p, " ") || !take_time(&p, utc) ||
	    !take_char(&p, " ") || !take_number(&p, 4, &utc->tm_year))
		return false;
	utc->tm_year -= 1900;
	return *p == '\0';
}

/* The three forms of RFC 9110 section 5.6.7, all of them UTC. */
static bool parse_http(const char *p, struct tm *utc)
{
	if (!take_weekday(&p))
		return false;
	if (take_text(&p, ", "))
		return parse_http_date(p, utc);
	return take_char(&p, " ") && parse_asctime(p, utc);
}

bool oci_clock_parse(const char *text, time_t *ret)
{
	struct tm utc = {0};
	int offset = 0;

	if (!parse_rfc3339(text, &utc, &offset)) {
		utc = (struct tm){0};
		offset = 0;
		if (!parse_http(text, &utc))
			return false;
	}
	if (!valid(&utc))
		return false;
	*ret = timegm(&utc) - offset;
	return true;
}

struct timespec oci_clock_deadline(uint64_t wait_ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += (time_t)(wait_ms / 1000);
	at.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

void oci_clock_cond_init(pthread_cond_t *condition)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attr);
	pthread_condattr_destroy(&attr);
}
