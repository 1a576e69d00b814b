/* sha256.h - SHA-256 by OpenSSL's libcrypto, in hexadecimal as sha256sum prints it. */
#ifndef DRIFTLINE_DATA_FILES_SHA256_H
#define DRIFTLINE_DATA_FILES_SHA256_H

#include "src/data/files/file.h"

enum { SHA256_HEX_BYTES = 65 };

/* progress may be NULL. ERR_NOT_FOUND, ERR_IO, ERR_INTERRUPTED, ERR_NO_MEMORY; ERR_BASELINE
   if libcrypto fails. */
int sha256_file(const char *path, char hex[SHA256_HEX_BYTES], const struct data_progress *,
                struct error *);
int sha256_block(const void *block, size_t bytes, char hex[SHA256_HEX_BYTES], struct error *);

#endif
