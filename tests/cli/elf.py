#!/usr/bin/env python3
"""elf.py - what a program's file has that is loaded.

elf.py hash FILE             the program_sha256 of its identity, as src/plan/identity.h defines it
elf.py replace FILE OLD NEW  replaces a text, which must be there once, by one as long
"""
import ctypes
import hashlib
import struct
import sys

what, path = sys.argv[1:3]
data = open(path, "rb").read()
if what == "replace":
    old, new = (text.encode() for text in sys.argv[3:5])
    assert data.count(old) == 1 and len(old) == len(new), (data.count(old), old, new)
    open(path, "wb").write(data.replace(old, new))
    sys.exit()


class Hash(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


xxh128 = ctypes.CDLL("libxxhash.so.0").XXH3_128bits
xxh128.restype = Hash
xxh128.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def hashed(content):
    hash = xxh128(content, len(content))
    return f"{hash.high:016x}{hash.low:016x}"


table, = struct.unpack_from("<Q", data, 40)
size, n, names = struct.unpack_from("<HHH", data, 58)
sections = [struct.unpack_from("<IIQQQQ", data, table + size * i) for i in range(n)]
text = ""
for name, kind, flags, address, offset, size in sections:
    name = data[sections[names][4] + name:].split(b"\0", 1)[0].decode()
    if flags & 2 and name not in (".driftline_stamp", ".note.gnu.build-id"):
        content = "-" if kind == 8 else hashed(data[offset:offset + size])
        text += f"{name} {kind} {flags:x} {address:x} {size} {content}\n"
print(hashlib.sha256(text.encode()).hexdigest())
