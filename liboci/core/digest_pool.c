#include "core/digest_pool.h"

#include <assert.h>
#include <errno.h>

#include "base/buf.h"
#include "base/clock.h"

/* One who came with a buffer; lies on the stack of his thread. */
struct oci_digest_pool_seat {
	struct oci_hash_lane lane;
	struct oci_digest_pool_seat *next;
	pthread_cond_t changed; /* `state` is */
	enum {
		WAITING,
		TAKEN,   /* somebody hashes it now */
		LEADING, /* nobody else is to come: he does it himself */
		DONE,
	} state;
};

void oci_digest_pool_init(struct oci_digest_pool *pool, unsigned lanes, unsigned wait_ms)
{
	assert(lanes >= 1 && lanes <= OCI_DIGEST_POOL_LANES_MAX);
	*pool = (struct oci_digest_pool){.lanes = oci_hash_lanes() < lanes ? 1 : lanes, .wait_ms = wait_ms, .cores = 1};
	pthread_mutex_init(&pool->lock, NULL);
}

void oci_digest_pool_clear(struct oci_digest_pool *pool)
{
	assert(pool->members == 0 && pool->waiting == 0);
	pthread_mutex_destroy(&pool->lock);
}

/* Are those who are here enough to begin? An idle core waits for its share of
 * the others, and for no more than go together. */
static bool enough(const struct oci_digest_pool *pool, unsigned here)
{
	unsigned idle = pool->cores > pool->running ? pool->cores - pool->running : 1;
	unsigned others = pool->members > pool->hashing ? pool->members - pool->hashing : 0;
	unsigned share = (others + idle - 1) / idle;

	return here >= pool->lanes || here >= share;
}

static struct oci_digest_pool_seat *take_first(struct oci_digest_pool *pool)
{
	struct oci_digest_pool_seat *seat = pool->first;

	pool->first = seat->next;
	pool->waiting--;
	return seat;
}

static void sit_down(struct oci_digest_pool *pool, struct oci_digest_pool_seat *seat)
{
	struct oci_digest_pool_seat **end = &pool->first;

	while (*end)
		end = &(*end)->next;
	*end = seat;
	pool->waiting++;
}

static void stand_up(struct oci_digest_pool *pool, const struct oci_digest_pool_seat *seat)
{
	struct oci_digest_pool_seat **at = &pool->first;

	while (*at != seat)
		at = &(*at)->next;
	*at = seat->next;
	pool->waiting--;
}

static void tell(struct oci_digest_pool_seat *seat, int state)
{
	seat->state = state;
	pthread_cond_signal(&seat->changed);
}

/* After a change: those who wait may wait for nobody any more. */
static void wake_if_enough(struct oci_digest_pool *pool)
{
	if (pool->waiting > 0 && enough(pool, pool->waiting))
		tell(take_first(pool), LEADING);
}

void oci_digest_pool_join(struct oci_digest_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->members++;
	pthread_mutex_unlock(&pool->lock);
}

void oci_digest_pool_leave(struct oci_digest_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	assert(pool->members > 0);
	pool->members--;
	wake_if_enough(pool);
	pthread_mutex_unlock(&pool->lock);
}

/* True: it has been hashed. False: it is ours to do, and no longer in the queue. */
static bool wait_for_others(struct oci_digest_pool *pool, struct oci_digest_pool_seat *seat)
{
	const struct timespec until = oci_clock_deadline(pool->wait_ms);

	sit_down(pool, seat);
	while (seat->state == WAITING)
		if (pthread_cond_timedwait(&seat->changed, &pool->lock, &until) == ETIMEDOUT)
			break;
	if (seat->state == WAITING)
		stand_up(pool, seat);
	while (seat->state == TAKEN)
		pthread_cond_wait(&seat->changed, &pool->lock);
	return seat->state == DONE;
}

/* With the lock held on entry and exit, not meanwhile. */
static void hash_together(struct oci_digest_pool *pool, struct oci_digest_pool_seat *own)
{
	struct oci_digest_pool_seat *guests[OCI_DIGEST_POOL_LANES_MAX];
	struct oci_hash_lane lanes[OCI_DIGEST_POOL_LANES_MAX];
	size_t count = 1;

	lanes[0] = own->lane;
	for (; count < pool->lanes && pool->first; count++) {
		guests[count] = take_first(pool);
		guests[count]->state = TAKEN;
		lanes[count] = guests[count]->lane;
	}
	pool->groups[count]++;
	pool->hashing += count;
	pool->running++;
	pthread_mutex_unlock(&pool->lock);
	oci_hash_update_many(lanes, count);
	pthread_mutex_lock(&pool->lock);
	pool->hashing -= count;
	pool->running--;
	for (size_t i = 1; i < count; i++)
		tell(guests[i], DONE);
	wake_if_enough(pool);
}

static void meet(struct oci_digest_pool *pool, struct oci_digest_pool_seat *seat)
{
	pthread_mutex_lock(&pool->lock);
	if (enough(pool, pool->waiting + 1) || !wait_for_others(pool, seat))
		hash_together(pool, seat);
	pthread_mutex_unlock(&pool->lock);
}

void oci_digest_pool_update(struct oci_digest_pool *pool, struct oci_hash *hash, const void *data, size_t len)
{
	struct oci_digest_pool_seat seat = {.lane = {hash, data, len}, .state = WAITING};

	if (pool->lanes == 1 || len < OCI_DIGEST_POOL_SHORT) {
		oci_hash_update(hash, data, len);
		return;
	}
	oci_clock_cond_init(&seat.changed);
	meet(pool, &seat);
	pthread_cond_destroy(&seat.changed);
}

void oci_digest_pool_chain(struct oci_digest_pool *pool, unsigned char chain[OCI_CHAIN_BYTES],
	const void *data, size_t len)
{
	struct oci_hash hash;

	assert(len % OCI_CHAIN_BLOCK == 0);
	oci_hash_resume(&hash, chain, 0);
	oci_digest_pool_update(pool, &hash, data, len);
	oci_hash_chain(&hash, chain);
}
