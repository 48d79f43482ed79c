#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""fetch-h3.py URL ADDRESS FILE: fetches URL over HTTP/3 only, by libcurl with GnuTLS, from ADDRESS.

Debian's curl command has no HTTP/3 by ngtcp2 and GnuTLS, its library libcurl-gnutls.so.4 has.
"""
import ctypes
import sys
import urllib.parse

URL, WRITEFUNCTION, SSL_VERIFYPEER, SSL_VERIFYHOST = 10002, 20011, 64, 81
HTTP_VERSION, RESOLVE, TIMEOUT_MS = 84, 10203, 155
HTTP_VERSION_3_ONLY = 31
INFO_HTTP_VERSION = 0x200000 + 46

url, address, path = sys.argv[1:]
curl = ctypes.CDLL("libcurl-gnutls.so.4")
curl.curl_easy_init.restype = ctypes.c_void_p
curl.curl_slist_append.restype = ctypes.c_void_p
curl.curl_easy_strerror.restype = ctypes.c_char_p
handle = ctypes.c_void_p(curl.curl_easy_init())
body = []


@ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.POINTER(ctypes.c_char), ctypes.c_size_t, ctypes.c_size_t,
                  ctypes.c_void_p)
def on_data(data, size, count, _):
    body.append(data[:size * count])
    return size * count


def setopt(option, value):
    error = curl.curl_easy_setopt(handle, ctypes.c_int(option), value)
    if error:
        sys.exit(f"libcurl refuses option {option} (no HTTP/3?): "
                 f"{curl.curl_easy_strerror(error).decode()}")


parts = urllib.parse.urlsplit(url)
entry = f"{parts.hostname}:{parts.port or 443}:{address}".encode()
hosts = ctypes.c_void_p(curl.curl_slist_append(None, ctypes.c_char_p(entry)))
setopt(URL, ctypes.c_char_p(url.encode()))
setopt(HTTP_VERSION, ctypes.c_long(HTTP_VERSION_3_ONLY))
setopt(RESOLVE, hosts)
setopt(SSL_VERIFYPEER, ctypes.c_long(0))
setopt(SSL_VERIFYHOST, ctypes.c_long(0))
setopt(TIMEOUT_MS, ctypes.c_long(15000))
setopt(WRITEFUNCTION, on_data)
error = curl.curl_easy_perform(handle)
version = ctypes.c_long()
curl.curl_easy_getinfo(handle, INFO_HTTP_VERSION, ctypes.byref(version))
if error or version.value != 30:
    sys.exit(f"{curl.curl_easy_strerror(error).decode()}, HTTP version {version.value}")
with open(path, "wb") as out:
    out.write(b"".join(body))
