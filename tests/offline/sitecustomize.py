"""With this folder on PYTHONPATH Python and its children reach 127.0.0.1 and nothing else.

pytest-socket guards the tests themselves; this guards what they start: kernels, builds, pip.
"""

import socket

LOCAL = {"127.0.0.1", "::1", "localhost", "0.0.0.0", "", None}


def _refuse(host):
    raise OSError(f"no network in the tests, but {host!r} was asked for")


def _guarded(method):
    def call(self, address, *args):
        if isinstance(address, tuple) and address[0] not in LOCAL:
            _refuse(address[0])
        return method(self, address, *args)

    return call


def _getaddrinfo(host, *args, _real=socket.getaddrinfo, **kwargs):
    name = host.decode() if isinstance(host, bytes) else host
    if name not in LOCAL:
        _refuse(name)
    return _real(host, *args, **kwargs)


socket.socket.connect = _guarded(socket.socket.connect)
socket.socket.connect_ex = _guarded(socket.socket.connect_ex)
socket.getaddrinfo = _getaddrinfo
