/* sha256.h - SHA-256 of files as sha256sum prints it, by OpenSSL's libcrypto. */
#ifndef DRIFTLINE_SHA256_H
#define DRIFTLINE_SHA256_H

#include "file.h"

enum { SHA256_HEX_BYTES = 65 };

/* progress may be NULL. ERR_NOT_FOUND, ERR_IO, ERR_INTERRUPTED. */
int sha256_file(const char *path, char hex[SHA256_HEX_BYTES], const struct data_progress *,
                struct error *);
int sha256_block(const void *block, size_t bytes, char hex[SHA256_HEX_BYTES], struct error *);

#endif
