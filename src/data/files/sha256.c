/* sha256.c - see sha256.h. */
#include "src/data/files/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20 };

/* Without a digest: libcrypto failed. */
static int give_hex(const unsigned char *digest, char hex[SHA256_HEX_BYTES], struct error *err)
{
    if (!digest)
        return fail(err, ERR_BASELINE, "sha256: libcrypto failed");
    for (size_t i = 0; i < SHA256_HEX_BYTES / 2; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return OK;
}

static int feed_file(EVP_MD_CTX *context, const char *path, int fd,
                     const struct data_progress *progress, struct error *err)
{
    struct stat st;
    size_t done = 0, total = fstat(fd, &st) ? 0 : (size_t)st.st_size;
    char *buffer = malloc(READ_BYTES);
    int rc = buffer ? OK : fail(err, ERR_NO_MEMORY, "%s: out of memory", path);
    while (!rc) {
        ssize_t got = read(fd, buffer, READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = fail_errno(err, ERR_IO, "%s: cannot read", path);
        if (got <= 0)
            break;
        EVP_DigestUpdate(context, buffer, (size_t)got);
        done += (size_t)got;
        if (progress && progress->step && progress->step(progress->context, "sha256", done, total))
            rc = fail(err, ERR_INTERRUPTED, "%s: interrupted", path);
    }
    free(buffer);
    return rc;
}

int sha256_file(const char *path, char hex[SHA256_HEX_BYTES], const struct data_progress *progress,
                struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: cannot open", path);
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool begun = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    int rc = begun ? feed_file(context, path, fd, progress, err) : OK;
    if (!rc)
        rc = give_hex(begun && EVP_DigestFinal_ex(context, digest, NULL) ? digest : NULL, hex, err);
    EVP_MD_CTX_free(context);
    close(fd);
    return rc;
}

int sha256_block(const void *block, size_t bytes, char hex[SHA256_HEX_BYTES], struct error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    const bool done = EVP_Digest(block, bytes, digest, NULL, EVP_sha256(), NULL);
    return give_hex(done ? digest : NULL, hex, err);
}
