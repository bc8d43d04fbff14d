-- Who a client is, and how often it may ask.

local edge = {}

-- The bytes of the client's address; of an IPv6 address the first 64 bits, since a subscriber has as many as it likes of
-- the rest. Empty for who is exempt. The certificate's probes are clients of their own (conf.d/probe.conf).
function edge.client()
  if ngx.var.edge_exempt == "1" then
    return ""
  end
  local probe = ngx.var.edge_probe
  if probe ~= "" then
    return "probe " .. probe
  end
  local address = ngx.var.binary_remote_addr
  return #address == 16 and address:sub(1, 8) or address
end

-- What the log calls a client: the same all day, another one tomorrow.
function edge.pseudonym()
  local digest = ngx.hmac_sha1(ngx.var.edge_log_key, ngx.today() .. ngx.var.remote_addr)
  return ngx.encode_base64(digest):sub(1, 16)
end

-- At most `requests` of a client in any `seconds`. Each takes one of as many slots for that long, and adding to a shared
-- dictionary is atomic among the workers, so the count is exact. The dictionary does not grow: when a flood of clients has
-- filled it, the slot that was not asked for longest makes room.
function edge.limit(requests, seconds)
  local method = ngx.req.get_method()
  local client = edge.client()
  if client == "" or method == "GET" or method == "HEAD" or method == "OPTIONS" then
    return
  end
  local slots = ngx.shared.edge_auth
  local wait = seconds
  for slot = 1, requests do
    local key = client .. "/" .. slot
    local added, problem = slots:add(key, true, seconds)
    if added then
      return
    end
    if problem ~= "exists" then
      ngx.var.edge_problem = "not counted: " .. problem
    end
    wait = math.min(wait, slots:ttl(key) or seconds)
  end
  ngx.header["Retry-After"] = math.max(1, math.ceil(wait))
  return ngx.exit(430)   -- 429 to the client, see conf.d/intercept.conf
end

return edge
