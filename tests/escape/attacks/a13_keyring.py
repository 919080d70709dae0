# SPDX-License-Identifier: Apache-2.0
attack("add_key", lambda: syscall("add_key", b"user", b"name", b"data", 4, -3))
attack("request_key", lambda: syscall("request_key", b"user", b"name", None, -3))
attack("join a session keyring", lambda: syscall("keyctl", 1, b"bcai", 0, 0, 0))
attack("session keyring", lambda: syscall("keyctl", 0, -3, 1, 0, 0))
twin("secrets of Python", lambda: __import__("secrets").token_hex(8) != "")
