"""Runs a program on a kernel whose random number generator seems never to become ready: getrandom(2) answers EAGAIN, but
for GRND_INSECURE, which needs no readiness."""
import ctypes, os, platform, struct, sys

GETRANDOM = {"x86_64": 318, "aarch64": 278}[platform.machine()]
LOAD, AND, JEQ, RET = 0x20, 0x54, 0x15, 0x06
ALLOW, EAGAIN = 0x7FFF0000, 0x00050000 | 11
steps = [(LOAD, 0, 0, 0), (JEQ, 0, 4, GETRANDOM), (LOAD, 0, 0, 32), (AND, 0, 0, 4),
         (JEQ, 0, 1, 0), (RET, 0, 0, EAGAIN), (RET, 0, 0, ALLOW)]
code = b"".join(struct.pack("HBBI", *step) for step in steps)
buffer = ctypes.create_string_buffer(code)

class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

libc = ctypes.CDLL(None, use_errno=True)
program = Program(len(steps), ctypes.addressof(buffer))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
    sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[1], sys.argv[1:])
