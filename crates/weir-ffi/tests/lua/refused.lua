-- Where getrandom(2) is refused, every function answers nil and the reason, and drop-ins that cannot do that raise it.

local weir = require("resty.weir")
local expected = arg[1]

local function refused(value, reason)
  assert(value == nil and reason:find(expected, 1, true), tostring(value) .. ", " .. tostring(reason))
end

refused(weir.ready())
refused(weir.bytes(16))
refused(weir.bytes(100000))
refused(weir.token())
refused(weir.token(5000, "abc"))
refused(weir.key())
refused(weir.scannable("key"))
refused(weir.uuid())
refused(weir.uuid_v7())
refused(weir.uniform(1, 6))
refused(weir.random())
refused(weir.random(6))
refused(weir.seed())
refused(weir.randomseed())
assert(weir.install("kong.tools.rand", "resty.jit-uuid"))
refused(require("kong.tools.rand").get_rand_bytes(16))
for _, mint in ipairs({ require("kong.tools.rand").random_string, require("resty.jit-uuid").generate_v4 }) do
  local ok, reason = pcall(mint)
  assert(not ok and reason:find(expected, 1, true), reason)
end
print("done")
