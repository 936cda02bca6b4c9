-- Draws from the kernel's generator for LuaJIT, OpenResty and Kong: a module over libweir by FFI.
--
--   local weir = require("resty.weir")
--   local key = assert(weir.key())
--
-- Contract: a function returns its value, or nil and a reason. It never returns something weaker instead. No function waits:
-- before the kernel's generator is ready, draws are nil and a reason. No file is opened, no socket is used and no coroutine
-- yields, so that every function may be called in every phase of nginx and in a handler of any event loop.
--
-- Invariants: nothing drawn is kept for the next call, so workers that were forked from one master draw different values.
-- Sizes are bounded. Short values go through one buffer that is erased after each; the only garbage is the string.
--
-- Absent on purpose: waiting until the generator is ready (see docs/c-library.md for how a timer does it).

local ffi = require("ffi")

ffi.cdef([[
int weir_try_fill(void *out, size_t size);
int weir_ready(void);
int weir_token(char *out, size_t cap, size_t length, const char *alphabet);
int weir_key(char *out, size_t cap);
int weir_scannable(char *out, size_t cap, const char *kind);
int weir_uuid_v4(char *out, size_t cap);
int weir_uuid_v7(char *out, size_t cap);
int weir_uniform_u64(uint64_t low, uint64_t high, uint64_t *out);
int weir_double(double *out);
int weir_erase(void *memory, size_t size);
const char *weir_strerror(int result);
const char *weir_version(void);
]])

local error, ipairs, pairs, pcall = error, ipairs, pairs, pcall
local require, tonumber, tostring, type = require, tonumber, tostring, type
local find = string.find
local ffi_new, ffi_string = ffi.new, ffi.string
local package, math = package, math
local getmetatable, setmetatable = getmetatable, setmetatable

-- The interface that the declarations above are of: the number at the end of the library's soname.
local MAJOR = "0"

-- By its soname, as the system's loader finds it; else by package.cpath, for a library in a folder of its own.
local function load_library()
  local soname = "libweir.so." .. MAJOR
  local ok, library = pcall(ffi.load, soname)
  if not ok then
    local reason = library
    local path = package.searchpath("libweir", package.cpath)
    if not path then
      error("resty.weir: " .. reason .. "; and package.cpath has no libweir.so", 0)
    end
    library = ffi.load(path)
  end
  local version = ffi_string(library.weir_version())
  if find(version, MAJOR .. ".", 1, true) ~= 1 then
    error("resty.weir: this module is for libweir " .. MAJOR .. ", not " .. version, 0)
  end
  return library, version
end

local C, VERSION = load_library()

local MAX_BYTES = 1048576
-- Longer values take memory of their own.
local SHORT = 4096
local BYTES = ffi.typeof("char[?]")

local buffer = ffi_new(BYTES, SHORT)
local word = ffi_new("uint64_t[1]")
local double = ffi_new("double[1]")

-- A double holds every whole number up to here.
local EXACT = 2 ^ 53

local weir = {
  -- The version of the library.
  VERSION = VERSION,
  -- Alphabets for `token`. Any other string will do that has 2 to 94 printable characters of ASCII without space, each once.
  alphabets = {
    base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    hex = "0123456789abcdef",
    base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
  },
}

local function is_whole(n, low, high)
  return type(n) == "number" and n >= low and n <= high and n % 1 == 0
end

-- Whether a string reaches C as it is: C's ends at its first zero.
local function is_text(s)
  return type(s) == "string" and not find(s, "\0", 1, true)
end

local function failed(result)
  return nil, ffi_string(C.weir_strerror(result))
end

-- What was written to a buffer, as a string. Nothing of it stays in the buffer.
local function taken(from, length)
  local value = ffi_string(from, length)
  -- Not by ffi.fill: LuaJIT takes no snapshot after it, so that a trace that is left soon after makes the string a second
  -- time, out of the zeros. After a call of C it takes one.
  C.weir_erase(from, length)
  return value
end

local function memory(size)
  if size <= SHORT then
    return buffer
  end
  return ffi_new(BYTES, size)
end

-- true, or nil and why there are no draws.
function weir.ready()
  local result = C.weir_ready()
  if result ~= 0 then
    return failed(result)
  end
  return true
end

-- A string of `n` random bytes, 0 to 1,048,576.
function weir.bytes(n)
  if not is_whole(n, 0, MAX_BYTES) then
    return nil, "the number of bytes must be a whole number from 0 to 1048576"
  end
  local out = memory(n)
  local result = C.weir_try_fill(out, n)
  if result ~= 0 then
    return failed(result)
  end
  return taken(out, n)
end

-- A token of `length` characters, 1 to 1,048,576 and 32 if nil, out of the characters of a string, base62 if nil.
function weir.token(length, alphabet)
  if length == nil then
    length = 32
  end
  if not is_whole(length, 1, MAX_BYTES) then
    return nil, "the length must be a whole number from 1 to 1048576"
  end
  if alphabet ~= nil and not is_text(alphabet) then
    return nil, "an alphabet must be a string of 2 to 94 printable characters, each once"
  end
  local out = memory(length + 1)
  local result = C.weir_token(out, length + 1, length, alphabet)
  if result == 0 then
    return taken(out, length)
  end
  if result == -22 then
    return nil, "an alphabet must be a string of 2 to 94 printable characters, each once"
  end
  return failed(result)
end

-- The default credential: 32 characters of base62, 190.5 bits.
function weir.key()
  local result = C.weir_key(buffer, SHORT)
  if result ~= 0 then
    return failed(result)
  end
  return taken(buffer, 32)
end

-- A key that secret scanners recognise: weir_<kind>_…
function weir.scannable(kind)
  if not is_text(kind) then
    return nil, "a kind must be a string"
  end
  local result = C.weir_scannable(buffer, SHORT, kind)
  if result == 0 then
    return taken(buffer, 44 + #kind)
  end
  if result == -22 then
    return nil, "a kind is a lower-case letter and then 1 to 15 lower-case letters or digits"
  end
  return failed(result)
end

-- A UUID of version 4: 122 random bits.
function weir.uuid_v4()
  local result = C.weir_uuid_v4(buffer, SHORT)
  if result ~= 0 then
    return failed(result)
  end
  return taken(buffer, 36)
end

weir.uuid = weir.uuid_v4

-- A UUID of version 7: sorts by the time it was made.
function weir.uuid_v7()
  local result = C.weir_uuid_v7(buffer, SHORT)
  if result ~= 0 then
    return failed(result)
  end
  return taken(buffer, 36)
end

-- A whole number from `low` to `high`, both included and not above 2^53 in amount or distance.
function weir.uniform(low, high)
  if not is_whole(low, -EXACT, EXACT) or not is_whole(high, -EXACT, EXACT) then
    return nil, "both ends must be whole numbers of at most 2^53"
  end
  if low > high or high - low > EXACT then
    return nil, "the range must go from a number to one that is at most 2^53 above it"
  end
  local result = C.weir_uniform_u64(0, high - low, word)
  if result ~= 0 then
    return failed(result)
  end
  return low + tonumber(word[0])
end

-- As math.random, with its arguments: a number of [0, 1), or a whole one from 1 to `m`, or from `m` to `n`.
function weir.random(m, n)
  if m ~= nil then
    if n ~= nil then
      return weir.uniform(m, n)
    end
    return weir.uniform(1, m)
  end
  local result = C.weir_double(double)
  if result ~= 0 then
    return failed(result)
  end
  return double[0]
end

-- A whole number of 53 bits, all that math.randomseed takes.
function weir.seed()
  local result = C.weir_double(double)
  if result ~= 0 then
    return failed(result)
  end
  return double[0] * EXACT
end

-- Seeds math.random, whose numbers are guessed easily all the same. Once a worker, not before the fork.
function weir.randomseed()
  local seed, reason = weir.seed()
  if not seed then
    return nil, reason
  end
  math.randomseed(seed)
  return true
end

-- For functions whose callers have never had to look for a failure: it must not pass for a value.
local function raised(value, reason)
  if value == nil then
    error("resty.weir: " .. reason, 3)
  end
  return value
end

local function bytes(n)
  return weir.bytes(n)
end

local function random_string()
  return (raised(weir.key()))
end

local function generate_v4()
  return (raised(weir.uuid_v4()))
end

-- Of resty.jit-uuid: seeds math.random and returns the seed.
local function seed(number)
  number = number or raised(weir.seed())
  math.randomseed(number)
  return number
end

-- Functions that programs of OpenResty and Kong use, by module: the same names, arguments and results.
weir.drop_ins = {
  ["resty.random"] = { bytes = bytes },
  ["resty.jit-uuid"] = { generate_v4 = generate_v4, seed = seed },
  ["kong.tools.rand"] = { get_rand_bytes = bytes, random_string = random_string },
  ["kong.tools.uuid"] = { uuid = generate_v4 },
  ["kong.tools.utils"] = { get_rand_bytes = bytes, random_string = random_string, uuid = generate_v4 },
}

-- Whether `require` would find a module.
local function exists(name)
  return package.loaded[name] or package.preload[name] or package.searchpath(name, package.path)
end

-- Puts the drop-ins of these modules in place. A module that exists keeps what it has besides; of one that does not, the
-- drop-ins are all there is. Functions that somebody took out of a module before stay what they were.
function weir.install(...)
  local names = { ... }
  for _, name in ipairs(names) do
    if not weir.drop_ins[name] then
      return nil, "there are no drop-ins for " .. tostring(name)
    end
  end
  for _, name in ipairs(names) do
    local module = exists(name) and require(name) or {}
    for field, drop_in in pairs(weir.drop_ins[name]) do
      module[field] = drop_in
    end
    if name == "resty.jit-uuid" then
      -- The module itself is called for an id, too.
      local meta = getmetatable(module) or {}
      meta.__call = generate_v4
      setmetatable(module, meta)
    end
    package.loaded[name] = module
  end
  return true
end

return weir
