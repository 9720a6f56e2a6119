--- busted output handler: a line per file, failures when they happen, then what was skipped and why, and the result.

local function seconds_text(seconds)
  return string.format("%.1f s", seconds or 0)
end

local function indent(text)
  return "    " .. text:match("^(.-)%s*$"):gsub("\n", "\n    ")
end

local function message_text(message)
  if type(message) == "string" then return message end
  if type(message) == "table" and message.message then return tostring(message.message) end
  return message == nil and "no message" or require("pl.pretty").write(message)
end

return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local counts
  local failed, skipped = {}, {}
  local total = { passed = 0, failed = 0, skipped = 0 }

  local function count(what)
    total[what] = total[what] + 1
    if counts then counts[what] = counts[what] + 1 end
  end

  local function place(element, trace)
    local at = trace or element.trace
    if not at or not at.short_src then return "" end
    return string.format(" (%s:%d)", at.short_src, at.currentline or 0)
  end

  local function on_file_start()
    counts = { passed = 0, failed = 0, skipped = 0 }
    return nil, true
  end

  local function file_counts()
    local parts = {}
    for _, what in ipairs { "passed", "failed", "skipped" } do
      if counts[what] > 0 then parts[#parts + 1] = counts[what] .. " " .. what end
    end
    return #parts > 0 and table.concat(parts, ", ") or "no tests"
  end

  local function on_file_end(file)
    print(string.format("%-44s %s  %s", file.name, file_counts(), seconds_text(file.duration)))
    counts = nil
    return nil, true
  end

  local function on_pending(element, _, message)
    local why = message_text(message):gsub("^%S+:%d+: ", "")
    skipped[#skipped + 1] = string.format("%s%s\n%s", handler.getFullName(element), place(element), indent(why))
    return nil, true
  end

  local function on_test_end(element, _, status)
    if status == "success" then count "passed" end
    if status == "pending" then count "skipped" end
    if element.descriptor == "pending" then on_pending(element, nil, "pending") end
    return nil, true
  end

  -- A file that does not load, a failing set-up and a failing test are all failures.
  local function on_failure(element, _, message, trace)
    count "failed"
    local name = element.descriptor == "file" and element.name or handler.getFullName(element)
    failed[#failed + 1] = (name ~= "" and name or "the run") .. place(element, trace)
    print("FAILED " .. failed[#failed])
    print(indent(message_text(message)))
    if trace and trace.traceback and element.descriptor == "it" then
      local own = trace.traceback:match("\n(.*)")
      if own then print(indent(own)) end
    end
    return nil, true
  end

  local function list(title, items)
    if #items == 0 then return end
    print("\n" .. title)
    for _, item in ipairs(items) do
      print("  " .. item)
    end
  end

  local function on_exit()
    list("skipped", skipped)
    list("failed", failed)
    if total.passed + total.failed == 0 then
      print "\nno test ran"
      total.failed = 1
    end
    print(string.format("\n%d passed, %d failed, %d skipped", total.passed, total.failed, total.skipped))
    io.stdout:flush()
    os.exit(total.failed == 0 and 0 or 1, true)
  end

  local subscribe_base = handler.subscribe
  function handler.subscribe(self, options)
    subscribe_base(self, options)
    busted.subscribe({ "file", "start" }, on_file_start)
    busted.subscribe({ "file", "end" }, on_file_end)
    busted.subscribe({ "test", "end" }, on_test_end)
    busted.subscribe({ "pending" }, on_pending)
    busted.subscribe({ "failure" }, on_failure)
    busted.subscribe({ "error" }, on_failure)
    busted.subscribe({ "exit" }, on_exit)
  end

  return handler
end
