-- What resty.weir promises, in LuaJIT. Each check ends the program with the line that failed.

local ffi = require("ffi")
local weir = require("resty.weir")

local function count(set)
  local n = 0
  for _ in pairs(set) do
    n = n + 1
  end
  return n
end

-- A function answered nil and a reason.
local function refused(value, reason)
  assert(value == nil, "a value: " .. tostring(value))
  assert(type(reason) == "string" and #reason > 0)
  return reason
end

local function shapes()
  assert(weir.ready() == true)
  assert(weir.VERSION:match("^%d+%.%d+%.%d+$"))
  for _, n in ipairs({ 0, 1, 16, 4096, 4097, 1048576 }) do
    assert(#weir.bytes(n) == n)
  end
  for n = 1, 200 do
    assert(#weir.token(n) == n)
  end
  assert(weir.token():match("^%w+$") and #weir.token() == 32)
  assert(#weir.token(1048576) == 1048576)
  assert(weir.key():match("^%w+$") and #weir.key() == 32)
  local hex = weir.alphabets.hex
  assert(weir.token(64, hex):match("^[0-9a-f]+$"))
  assert(weir.token(64, weir.alphabets.base64url):match("^[%w_-]+$"))
  assert(weir.token(64, weir.alphabets.base32):match("^[A-Z2-7]+$"))
  assert(weir.token(64, "01"):match("^[01]+$"))
  assert(weir.scannable("key"):match("^weir_key_%w+$") and #weir.scannable("key") == 47)
  assert(#weir.scannable("a123456789012345") == 60)
  local form = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-V%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"
  assert(weir.uuid():match((form:gsub("V", "4"))) and weir.uuid_v4():match((form:gsub("V", "4"))))
  assert(weir.uuid_v7():match((form:gsub("V", "7"))))
end

local function bad_arguments()
  for _, n in ipairs({ -1, 1.5, 1048577, 0 / 0, 1 / 0, "16", {}, false }) do
    refused(weir.bytes(n))
    refused(weir.token(n))
  end
  refused(weir.bytes())
  refused(weir.token(0))
  for _, alphabet in ipairs({ "", "a", "aa", "a b", "a\n", "ab\0cd", "\195\188a", 7, {}, true }) do
    assert(refused(weir.token(8, alphabet)):match("alphabet"))
  end
  for _, kind in ipairs({ "", "k", "Key", "2key", "key\0", "a1234567890123456", 7, {} }) do
    assert(refused(weir.scannable(kind)):match("kind"))
  end
  refused(weir.scannable())
  local ends = { { 2, 1 }, { 0.5, 1 }, { 1, 0 / 0 }, { -1 / 0, 1 }, { -2 ^ 53, 2 ^ 53 }, { 0, 2 ^ 54 }, { "1", 2 } }
  for _, pair in ipairs(ends) do
    refused(weir.uniform(pair[1], pair[2]))
  end
  refused(weir.uniform(1))
  refused(weir.random(0))
end

local function numbers()
  -- One of eleven is missing after 2000 with odds of 11 * (10/11)^2000, below 2^-270.
  local seen = {}
  for _ = 1, 2000 do
    local n = weir.uniform(-5, 5)
    assert(n >= -5 and n <= 5 and n % 1 == 0)
    seen[n] = true
  end
  assert(count(seen) == 11)
  assert(weir.uniform(7, 7) == 7 and weir.uniform(-2 ^ 53, -2 ^ 53) == -2 ^ 53)
  local wide = weir.uniform(0, 2 ^ 53)
  assert(wide >= 0 and wide <= 2 ^ 53 and wide % 1 == 0)
  for _ = 1, 1000 do
    local unit, one, six = weir.random(), weir.random(6), weir.random(3, 6)
    assert(unit >= 0 and unit < 1 and one >= 1 and one <= 6 and six >= 3 and six <= 6)
  end
  local seed = weir.seed()
  assert(seed >= 0 and seed < 2 ^ 53 and seed % 1 == 0 and seed ~= weir.seed())
  assert(weir.randomseed() == true)
  local first = math.random()
  assert(weir.randomseed() == true)
  assert(first ~= math.random())
end

-- Each of 20,000 values in a loop that is compiled on the way: all different, with odds of 2^-90 that a UUID is not. The
-- list grows again and again, at which compiled code is left in the middle of a turn.
local function distinct()
  local mints = { weir.key, weir.uuid_v4, weir.uuid_v7, weir.token, weir.random, weir.seed }
  mints[#mints + 1] = function()
    return weir.bytes(16)
  end
  mints[#mints + 1] = function()
    return weir.scannable("key")
  end
  mints[#mints + 1] = function()
    return weir.uniform(0, 2 ^ 53)
  end
  for _, mint in ipairs(mints) do
    local seen, list = {}, {}
    for at = 1, 20000 do
      list[at] = mint()
    end
    for _, value in ipairs(list) do
      seen[value] = true
    end
    -- Numbers of 53 bits may meet: two of 20,000 do with odds of 2^-25, and two pairs with less than 2^-48.
    assert(count(seen) >= (type(list[1]) == "number" and 19999 or 20000))
  end
end

local function no_traces()
  local buffer
  for at = 1, 60 do
    local name, value = debug.getupvalue(weir.key, at)
    if name == "buffer" then
      buffer = value
    end
  end
  weir.bytes(4096)
  weir.key()
  weir.uuid()
  for at = 0, 4095 do
    assert(buffer[at] == 0)
  end
end

-- A string of 16 bytes takes some 40 in memory; there is nothing else that the collector would have to find.
local function no_garbage()
  local n = 10000
  local kept = {}
  for at = 1, n do
    kept[at] = false
  end
  for round = 1, 2 do
    collectgarbage()
    collectgarbage("stop")
    local before = collectgarbage("count")
    for at = 1, n do
      kept[at] = weir.bytes(16)
    end
    local bytes = (collectgarbage("count") - before) * 1024 / n
    collectgarbage("restart")
    -- The first round compiles, and grows the table of all strings.
    assert(round == 1 or bytes < 80, bytes)
  end
end

local function forks()
  ffi.cdef([[
  int fork(void);
  int pipe(int ends[2]);
  long read(int file, void *buffer, size_t count);
  long write(int file, const void *buffer, size_t count);
  int waitpid(int process, int *status, int options);
  void _exit(int status);
  ]])
  local children, draws = 4, 50
  local seen, total = {}, 0
  local function note(id)
    seen[id] = true
    total = total + 1
  end
  note(weir.uuid())
  local ends = {}
  for child = 1, children do
    local pipe = ffi.new("int[2]")
    assert(ffi.C.pipe(pipe) == 0)
    local process = ffi.C.fork()
    assert(process >= 0)
    if process == 0 then
      local ids = {}
      for at = 1, draws do
        ids[at] = weir.uuid()
      end
      local text = table.concat(ids)
      ffi.C.write(pipe[1], text, #text)
      ffi.C._exit(0)
    end
    ends[child] = { process = process, from = pipe[0] }
  end
  for _ = 1, draws do
    note(weir.uuid())
  end
  for _, child in ipairs(ends) do
    local text = ffi.new("char[?]", draws * 36)
    assert(ffi.C.read(child.from, text, draws * 36) == draws * 36)
    for id in ffi.string(text, draws * 36):gmatch(("."):rep(36)) do
      note(id)
    end
    local status = ffi.new("int[1]")
    assert(ffi.C.waitpid(child.process, status, 0) == child.process and status[0] == 0)
  end
  assert(total == 1 + draws * (children + 1) and count(seen) == total)
end

local function drop_ins()
  assert(refused(weir.install("resty.random", "no.such.module")):match("no%.such%.module"))
  assert(package.loaded["resty.random"] == nil, "nothing is installed of a list with a fault")
  package.preload["kong.tools.rand"] = function()
    return { get_rand_bytes = error, random_string = error, other = 7 }
  end
  assert(weir.install("resty.random", "resty.jit-uuid", "kong.tools.rand", "kong.tools.uuid", "kong.tools.utils"))
  local rand = require("kong.tools.rand")
  assert(rand.other == 7, "what a module has besides stays")
  assert(#rand.get_rand_bytes(24) == 24 and #rand.get_rand_bytes(24, true) == 24)
  refused(rand.get_rand_bytes(-1))
  assert(rand.random_string():match("^%w+$") and #rand.random_string() == 32)
  assert(#require("resty.random").bytes(16) == 16 and #require("resty.random").bytes(16, true) == 16)
  local uuid = require("resty.jit-uuid")
  assert(#uuid() == 36 and #uuid.generate_v4() == 36 and uuid() ~= uuid())
  assert(uuid.seed(42) == 42)
  local first = math.random()
  uuid.seed(42)
  assert(first == math.random() and type(uuid.seed()) == "number")
  assert(#require("kong.tools.uuid").uuid() == 36 and #require("kong.tools.utils").uuid() == 36)
end

for _, check in ipairs({ shapes, bad_arguments, numbers, distinct, no_traces, no_garbage, forks, drop_ins }) do
  check()
end
print("done")
