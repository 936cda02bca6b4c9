-- What Kong does for a credential, in the language that it does it in: 24 bytes of /dev/urandom, opened and closed each
-- time, as 32 characters of base64, in which three characters are replaced with ones of Lua's generator.
--
-- Reads how many to make, a number a line, and answers each with the nanoseconds of CPU time that making them took.

local ffi = require("ffi")

ffi.cdef([[
int open(const char *path, int flags, ...);
long read(int file, void *buffer, size_t count);
int close(int file);
int EVP_EncodeBlock(unsigned char *to, const unsigned char *from, int length);
typedef struct { long seconds; long nanoseconds; } timespec;
int clock_gettime(int clock, timespec *time);
]])

local C = ffi.C
-- Kong's base64 is a function of nginx in C; OpenSSL's is as quick.
local crypto = ffi.load("libcrypto.so.3")
local random, char, gsub = math.random, string.char, string.gsub

local BYTES = 24
local TEXT = ffi.typeof("unsigned char[33]")
local BUFFER = ffi.typeof("unsigned char[?]")

local function credential()
  local bytes = ffi.new(BUFFER, BYTES)
  local file = C.open("/dev/urandom", 0)
  assert(file >= 0 and C.read(file, bytes, BYTES) == BYTES)
  C.close(file)
  local text = ffi.new(TEXT)
  local base64 = ffi.string(text, crypto.EVP_EncodeBlock(text, bytes, BYTES))
  base64 = gsub(base64, "/", char(random(48, 57)))
  base64 = gsub(base64, "%+", char(random(65, 90)))
  base64 = gsub(base64, "=", char(random(97, 122)))
  return base64
end

local function cpu_ns()
  local time = ffi.new("timespec")
  assert(C.clock_gettime(3, time) == 0)
  return tonumber(time.seconds) * 1e9 + tonumber(time.nanoseconds)
end

assert(#credential() == 32)
io.stdout:setvbuf("line")
for line in io.lines() do
  local start = cpu_ns()
  for _ = 1, tonumber(line) do
    credential()
  end
  io.write(string.format("%d\n", cpu_ns() - start))
end
