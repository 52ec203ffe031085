#!/usr/bin/env python3
"""Writes the seeds of the fuzzer of blocks on disk: tests/fuzz/corpus/block.

Usage, from the root of the repository: python3 tests/fuzz/mkcorpus_block.py

The files are made here as src/store/block_file.h describes them, with the libraries' own functions (libxxhash, libsodium): that the reader
takes them says that it reads what is described, and not only what it has written.
"""
import ctypes
import hashlib
import os
import struct

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "block")
PIECE, KEY = 256 << 10, b"0123456789abcdef0123456789abcdef"
xxhash, sodium = ctypes.CDLL("libxxhash.so.0"), ctypes.CDLL("libsodium.so.23")


class Hash(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


xxhash.XXH3_128bits.restype = Hash
xxhash.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def xxh(data):
    h = xxhash.XXH3_128bits(data, len(data))
    return struct.pack(">QQ", h.high, h.low)


def head(size, address, flags=0, version=1, magic=b"HearthPB"):
    return magic + struct.pack("<IIQ", version, flags, size) + address


def pieces(data):
    return [data[i:i + PIECE] for i in range(0, len(data), PIECE)]


def plain(data, address):
    h = head(len(data), address)
    seal = xxh(h)
    for p in pieces(data):
        seal = xxh(seal + xxh(p))
    return h + seal.ljust(32, b"\0") + data


def subkey(number, context):
    out = ctypes.create_string_buffer(32)
    sodium.crypto_kdf_derive_from_key(out, ctypes.c_size_t(32), ctypes.c_uint64(number), context, KEY)
    return out.raw


def sealed(data, address):
    state, stream = ctypes.create_string_buffer(52), ctypes.create_string_buffer(24)
    sodium.crypto_secretstream_xchacha20poly1305_init_push(state, stream, subkey(2, b"HearthDt"))
    h, out, all_pieces = head(len(data), address, flags=1), b"", pieces(data)
    for i, p in enumerate(all_pieces):
        c = ctypes.create_string_buffer(len(p) + 17)
        sodium.crypto_secretstream_xchacha20poly1305_push(state, c, None, p, ctypes.c_ulonglong(len(p)), h, ctypes.c_ulonglong(len(h)),
                                                          ctypes.c_ubyte(3 if i + 1 == len(all_pieces) else 0))
        out += c.raw
    return h + stream.raw.ljust(32, b"\0") + out


def case(name, mode, size, data):
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(bytes([mode, (size - 1) & 255, (size - 1) >> 8]) + data)


def main():
    sodium.sodium_init()
    os.makedirs(HERE, exist_ok=True)
    data = bytes(i * 7 & 255 for i in range(200))
    address = hashlib.blake2b(bytes(32) + b"a", digest_size=32).digest()
    secret = hashlib.blake2b(bytes(32) + b"a", digest_size=32, key=subkey(1, b"HearthNm")).digest()
    whole, safe = plain(data, address), sealed(data, secret)
    case("plain", 0, 200, whole)
    case("sealed", 1, 200, safe)
    case("put-right", 2, 200, head(200, address) + bytes(32) + data[::-1])
    case("one-byte", 2, 1, head(1, address) + bytes(32) + b"x")
    case("cut", 0, 200, whole[:-1])
    case("longer", 0, 200, whole + b"x")
    case("of-another-size", 2, 100, whole)
    case("of-another-address", 2, 200, head(200, secret) + bytes(32) + data)
    case("another-version", 2, 200, head(200, address, version=2) + bytes(32) + data)
    case("sealed-as-plain", 0, 200, safe)
    case("plain-as-sealed", 1, 200, whole)
    case("seal-with-more", 0, 200, whole[:72 + 3] + b"\1" + whole[76:])
    case("key-hex", 3, 1, KEY.hex().encode() + b"\n")
    case("key-bytes", 3, 1, KEY)
    case("key-short", 3, 1, KEY.hex().encode()[:-1])
    case("key-long", 3, 1, b"0" * 5000)
    case("empty", 0, 1, b"")


main()
