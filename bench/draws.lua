-- What a draw costs a program in LuaJIT, in each way there is: `cargo xtask bench lua` runs this and makes a table of it.
--
-- Arguments: the number of rounds, and the milliseconds of a round of one way. Prints a line `group|name|bytes` for each
-- way, followed by the nanoseconds of CPU time that a call took in each round, separated by blanks. The ways take turns,
-- round after round, so that what disturbs a measurement disturbs them alike.

local ffi = require("ffi")
local weir = require("resty.weir")

ffi.cdef([[
int RAND_bytes(unsigned char *buffer, int count);
int EVP_EncodeBlock(unsigned char *to, const unsigned char *from, int length);
int open(const char *path, int flags, ...);
long read(int file, void *buffer, size_t count);
int close(int file);
typedef struct { long seconds; long nanoseconds; } timespec;
int clock_gettime(int clock, timespec *time);
]])

local crypto = ffi.load("libcrypto.so.3")
local random, char, format, gsub, sub = math.random, string.char, string.format, string.gsub, string.sub
local concat = table.concat

local ROUNDS, ROUND_MS = tonumber(arg[1]), tonumber(arg[2])
local BUFFER = ffi.typeof("unsigned char[?]")
local CHARACTERS = weir.alphabets.base62

-- OpenSSL's generator by FFI, with memory for each call, as modules for OpenResty do it.
local function openssl_bytes(count)
  local buffer = ffi.new(BUFFER, count)
  if crypto.RAND_bytes(buffer, count) ~= 1 then
    return nil
  end
  return ffi.string(buffer, count)
end

-- By system calls: Lua's own files would read 4096 bytes each time.
local function urandom_bytes(count)
  local buffer = ffi.new(BUFFER, count)
  local file = ffi.C.open("/dev/urandom", 0)
  assert(file >= 0 and ffi.C.read(file, buffer, count) == count)
  ffi.C.close(file)
  return ffi.string(buffer, count)
end

local function math_bytes(count)
  local bytes = {}
  for at = 1, count do
    bytes[at] = char(random(0, 255))
  end
  return concat(bytes)
end

local function math_token(length)
  local characters = {}
  for at = 1, length do
    local place = random(1, #CHARACTERS)
    characters[at] = sub(CHARACTERS, place, place)
  end
  return concat(characters)
end

-- Bytes as 32 letters and digits: base64, in which three characters are replaced.
local function as_token(bytes)
  local text = ffi.new(BUFFER, 33)
  local base64 = ffi.string(text, crypto.EVP_EncodeBlock(text, bytes, #bytes))
  base64 = gsub(base64, "/", char(random(48, 57)))
  base64 = gsub(base64, "%+", char(random(65, 90)))
  return base64
end

local function math_uuid()
  return format(
    "%04x%04x-%04x-%04x-%04x-%04x%04x%04x",
    random(0, 65535),
    random(0, 65535),
    random(0, 65535),
    random(16384, 20479),
    random(32768, 49151),
    random(0, 65535),
    random(0, 65535),
    random(0, 65535)
  )
end

local ways = {
  { "bytes", "resty.weir, bytes(16)", function() return weir.bytes(16) end },
  { "bytes", "OpenSSL RAND_bytes by FFI", function() return openssl_bytes(16) end },
  { "bytes", "/dev/urandom, opened each time", function() return urandom_bytes(16) end },
  { "bytes", "math.random, not a secret", function() return math_bytes(16) end },
  { "token", "resty.weir, token(32)", function() return weir.token(32) end },
  { "token", "OpenSSL RAND_bytes by FFI, and base64", function() return as_token(openssl_bytes(24)) end },
  { "token", "/dev/urandom, opened each time, and base64", function() return as_token(urandom_bytes(24)) end },
  { "token", "math.random, not a secret", function() return math_token(32) end },
  { "uuid", "resty.weir, uuid()", weir.uuid },
  { "uuid", "math.random, not a secret", math_uuid },
}

local LENGTH = { bytes = 16, token = 32, uuid = 36 }

local time = ffi.new("timespec")

-- CPU time of the thread.
local function cpu_ns()
  assert(ffi.C.clock_gettime(3, time) == 0)
  return tonumber(time.seconds) * 1e9 + tonumber(time.nanoseconds)
end

-- Nanoseconds a call. Each way has a loop of its own, as compiled code is per loop.
local function timer(make, length)
  return assert(loadstring([[
    local make, length, cpu_ns, assert = ...
    return function(calls)
      local start = cpu_ns()
      local value
      for _ = 1, calls do
        value = make()
      end
      assert(#value == length)
      return (cpu_ns() - start) / calls
    end
  ]]))(make, length, cpu_ns, assert)
end

assert(weir.randomseed())
for _, way in ipairs(ways) do
  way.time = timer(way[3], LENGTH[way[1]])
  way.rounds = {}
  way.time(1000)
  way.calls = 64
  while way.time(way.calls) * way.calls < ROUND_MS * 1e6 do
    way.calls = way.calls * 2
  end
end
for round = 1, ROUNDS do
  for _, way in ipairs(ways) do
    way.rounds[round] = format("%.2f", way.time(way.calls))
  end
end
for _, way in ipairs(ways) do
  print(way[1] .. "|" .. way[2] .. "|" .. LENGTH[way[1]] .. " " .. concat(way.rounds, " "))
end
