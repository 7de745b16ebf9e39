"""Tries, inside the service's sandbox, what the service has no business with. A line for each attempt."""
import ctypes
import os
import socket
import subprocess
import time

libc = ctypes.CDLL(None, use_errno=True)


def attempt(words, action):
    try:
        action()
        print(f"got through: {words}")
    except Exception as error:
        print(f"refused: {words}: {error}")


def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def start_own_file():
    path = "/var/lib/paperround/probe"
    with open(path, "w") as out:
        out.write("#!/bin/sh\n")
    os.chmod(path, 0o755)
    try:
        subprocess.run([path], check=True)
    finally:
        os.remove(path)


attempt("write into /etc", lambda: open("/etc/probe", "w"))
attempt("write its own configuration", lambda: open("/etc/paperround/config.toml", "a"))
attempt("replace the program", lambda: open("/usr/bin/paperround", "r+b"))
attempt("read the stored password", lambda: open("/etc/paperround/credentials/smtp-password").read())
attempt("list home folders", lambda: os.listdir("/home"))
attempt("read /etc/shadow", lambda: open("/etc/shadow").read())
attempt("see process 1", lambda: open("/proc/1/environ").read())
attempt("become root", lambda: os.setuid(0))
attempt("open a raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt("open a netlink socket", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
attempt("mount", lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None))
attempt("make a namespace", lambda: call("unshare", 0x10000000))
attempt("trace a process", lambda: call("ptrace", 16, os.getppid(), 0, 0))
attempt("set the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
attempt("start a shell", lambda: subprocess.run(["/bin/sh", "-c", "true"], check=True))
attempt("start a file of its own", start_own_file)
attempt("load a kernel module", lambda: call("syscall", 175, None, 0, b""))
