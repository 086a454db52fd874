-- Posts the file named by the first argument as JSON; with a key, unless the second says `keyless`.
function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.body = file:read("*a")
  file:close()
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  if arguments[2] ~= "keyless" then
    wrk.headers["Authorization"] = "Bearer sk-bench"
  end
  wrk.headers["anthropic-version"] = "2023-06-01"
end
