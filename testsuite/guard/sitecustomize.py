"""Block every Python socket but loopback. The tests put this folder on PYTHONPATH, so it also holds for the tools that they start."""

import ipaddress
import socket


def _refuse_outside(address, what):
    host = address[0] if isinstance(address, tuple) and address else None
    if not isinstance(host, str) or host in ("localhost", ""):
        return
    try:
        if ipaddress.ip_address(host.split("%")[0]).is_loopback:
            return
    except ValueError:
        pass
    raise PermissionError(f"Address '{host}': a test tried to {what} outside of this machine, expected 127.0.0.1 only.")


def _guarded(method, position):
    plain = getattr(socket.socket, method)

    def call(self, *args):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_outside(args[position], method)
        return plain(self, *args)

    return call


def _lookup(host, *args, _plain=socket.getaddrinfo, **options):
    _refuse_outside((host.decode() if isinstance(host, bytes) else host,), "look up a name")
    return _plain(host, *args, **options)


for _method, _position in (("connect", 0), ("connect_ex", 0), ("sendto", -1), ("bind", 0)):
    setattr(socket.socket, _method, _guarded(_method, _position))
socket.getaddrinfo = _lookup
