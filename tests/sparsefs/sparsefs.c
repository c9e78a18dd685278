/* sparsefs - a directory seen through FUSE, in which zeros take no room
 *
 *     sparsefs BACKING MOUNTPOINT          until it is unmounted, or SIGTERM
 *
 * Every call goes to the same path below BACKING; what is written and all zero becomes
 * a hole there, room that is asked for beforehand is not taken, and there is always
 * a PiB free. So a model of 200 GiB that is nearly all zero goes through the real program and
 * a real registry on a disk that could not hold it. For tests: one user, no checks of its own.
 */
#define FUSE_USE_VERSION 314 /* fuse.h wants it */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FREE_BYTES (1ULL << 50)

static int backing(void)
{
	return (int)(intptr_t)fuse_get_context()->private_data;
}

/* FUSE's paths begin with a slash. */
static const char *below(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static int done(long rc)
{
	return rc < 0 ? -errno : 0;
}

static int fd_of(const struct fuse_file_info *file)
{
	return (int)file->fh;
}

/* names */

static int op_getattr(const char *path, struct stat *st, struct fuse_file_info *file)
{
	return done(file ? fstat(fd_of(file), st) : fstatat(backing(), below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int op_readlink(const char *path, char *target, size_t size)
{
	ssize_t len = readlinkat(backing(), below(path), target, size - 1);

	if (len >= 0)
		target[len] = '\0';
	return done(len);
}

static int op_mkdir(const char *path, mode_t mode)
{
	return done(mkdirat(backing(), below(path), mode));
}

static int op_unlink(const char *path)
{
	return done(unlinkat(backing(), below(path), 0));
}

static int op_rmdir(const char *path)
{
	return done(unlinkat(backing(), below(path), AT_REMOVEDIR));
}

static int op_symlink(const char *target, const char *path)
{
	return done(symlinkat(target, backing(), below(path)));
}

static int op_rename(const char *from, const char *to, unsigned flags)
{
	return done(renameat2(backing(), below(from), backing(), below(to), flags));
}

static int op_link(const char *from, const char *to)
{
	return done(linkat(backing(), below(from), backing(), below(to), 0));
}

static int op_chmod(const char *path, mode_t mode, struct fuse_file_info *file)
{
	return done(file ? fchmod(fd_of(file), mode) : fchmodat(backing(), below(path), mode, 0));
}

static int op_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *file)
{
	return done(fchownat(backing(), below(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int op_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *file)
{
	return done(file ? futimens(fd_of(file), times) : utimensat(backing(), below(path), times, AT_SYMLINK_NOFOLLOW));
}

static int op_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *file,
	enum fuse_readdir_flags flags)
{
	int fd = openat(backing(), below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		fill(buf, entry->d_name, NULL, 0, 0);
	closedir(dir);
	return 0;
}

/* content */

static int op_open(const char *path, struct fuse_file_info *file)
{
	/* O_DIRECT asks for aligned memory, which is the kernel's matter here. */
	int fd = openat(backing(), below(path), (file->flags & ~(O_DIRECT | O_NOFOLLOW)) | O_CLOEXEC);

	file->fh = (uint64_t)fd;
	file->direct_io = 1; /* a call is a call, of whatever size */
	return done(fd);
}

static int op_create(const char *path, mode_t mode, struct fuse_file_info *file)
{
	int fd = openat(backing(), below(path), (file->flags & ~O_DIRECT) | O_CREAT | O_CLOEXEC, mode);

	file->fh = (uint64_t)fd;
	file->direct_io = 1; /* a call is a call, of whatever size */
	return done(fd);
}

static int op_release(const char *path, struct fuse_file_info *file)
{
	return done(close(fd_of(file)));
}

static int op_read(const char *path, char *buf, size_t size, off_t offset, struct fuse_file_info *file)
{
	ssize_t len = pread(fd_of(file), buf, size, offset);

	return len < 0 ? -errno : (int)len;
}

static bool is_zero(const char *buf, size_t size)
{
	return size > 0 && buf[0] == 0 && memcmp(buf, buf + 1, size - 1) == 0;
}

/* Several write at once, and each may move the end of a file; to move it by truncation wants all others out. */
static pthread_rwlock_t growing = PTHREAD_RWLOCK_INITIALIZER;

static int grow(int fd, off_t end)
{
	struct stat st;
	int rc;

	pthread_rwlock_wrlock(&growing);
	rc = fstat(fd, &st);
	if (rc == 0 && st.st_size < end)
		rc = ftruncate(fd, end);
	pthread_rwlock_unlock(&growing);
	return rc;
}

static int make_hole(int fd, off_t offset, size_t size)
{
	off_t end = offset + (off_t)size, data;

	if (grow(fd, end) < 0)
		return -1;
	data = lseek(fd, offset, SEEK_DATA);
	if (data < 0 || data >= end)
		return 0;
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, (off_t)size);
}

static int op_write(const char *path, const char *buf, size_t size, off_t offset, struct fuse_file_info *file)
{
	ssize_t len;

	if (is_zero(buf, size))
		return make_hole(fd_of(file), offset, size) < 0 ? -errno : (int)size;
	pthread_rwlock_rdlock(&growing);
	len = pwrite(fd_of(file), buf, size, offset);
	pthread_rwlock_unlock(&growing);
	return len < 0 ? -errno : (int)len;
}

static int op_truncate(const char *path, off_t size, struct fuse_file_info *file)
{
	int fd = file ? fd_of(file) : openat(backing(), below(path), O_WRONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	rc = done(ftruncate(fd, size));
	if (!file)
		close(fd);
	return rc;
}

static int op_fallocate(const char *path, int mode, off_t offset, off_t size, struct fuse_file_info *file)
{
	return mode != 0 ? -EOPNOTSUPP : done(grow(fd_of(file), offset + size));
}

static int op_fsync(const char *path, int data_only, struct fuse_file_info *file)
{
	return done(data_only ? fdatasync(fd_of(file)) : fsync(fd_of(file)));
}

static int op_fsyncdir(const char *path, int data_only, struct fuse_file_info *file)
{
	return 0;
}

static int op_statfs(const char *path, struct statvfs *vfs)
{
	if (fstatvfs(backing(), vfs) < 0)
		return -errno;
	vfs->f_blocks = vfs->f_bfree = vfs->f_bavail = FREE_BYTES / vfs->f_frsize;
	return 0;
}

static void *op_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
	config->use_ino = 1;
	config->nullpath_ok = 0;
	config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
	connection->max_write = 1 << 20;
	return fuse_get_context()->private_data;
}

int main(int argc, char **argv)
{
	static const struct fuse_operations operations = {.getattr = op_getattr, .readlink = op_readlink,
		.mkdir = op_mkdir, .unlink = op_unlink, .rmdir = op_rmdir, .symlink = op_symlink, .rename = op_rename,
		.link = op_link, .chmod = op_chmod, .chown = op_chown, .truncate = op_truncate, .open = op_open,
		.read = op_read, .write = op_write, .statfs = op_statfs, .release = op_release, .fsync = op_fsync,
		.fsyncdir = op_fsyncdir, .readdir = op_readdir, .create = op_create, .utimens = op_utimens,
		.fallocate = op_fallocate, .init = op_init};
	char foreground[] = "-f", checked[] = "-odefault_permissions,max_threads=8";
	char *args[] = {argv[0], foreground, checked, argc == 3 ? argv[2] : NULL, NULL};
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: sparsefs BACKING MOUNTPOINT\n");
		return 2;
	}
	fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	umask(0);
	return fuse_main(4, args, &operations, (void *)(intptr_t)fd);
}
