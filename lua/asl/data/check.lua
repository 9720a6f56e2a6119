--- `asl data check`: what data set lies at a path, and whether every file of it is sound.
---
--- Every sample of every part (split, kind of annotation) is decoded; all that is missing or broken is told, each once. Beside
--- the summary it writes, into one folder: manifest.tsv (path, bytes and SHA-256 of every file read), summary.json,
--- sheet.png (a contact sheet of some samples with all their planes) and report.html (all of it, in one file).
---
--- A check that was stopped is gone on with by the next one: manifest.tsv.part keeps what was found out of each sample.

local core = require "asl.core"
local fault = require "asl.fault"
local files = require "asl.data.files"
local fs = require "asl.fs"
local json = require "asl.json"
local options = require "asl.options"
local packed = require "asl.data.packed"
local page = require "asl.data.check.page"
local progress = require "asl.progress"
local recognise = require "asl.data.check.recognise"
local sheet = require "asl.data.check.sheet"
local survey = require "asl.data.check.survey"
local tally = require "asl.data.check.tally"
local words = require "asl.data.check.words"

local check = {}

local DEFAULT_SAMPLES = 12

-- ---- making the data sets ---------------------------------------------------------------------------------------------

--- Where a file that a list names lies, when it is there: the whole of it, or the end of an absolute path of another machine.
local function place_of(root, name)
  local rest = name:gsub("^/+", "")
  while rest do
    if core.fs.stat(fs.join(root, rest)) then return rest end
    rest = rest:match "^[^/]+/+(.*)$"
  end
  return nil
end

--- The lines of a list all of whose files are there; each that is not is a problem.
local function lines_there(part, memory)
  local kept = {}
  for _, line in files.lines(part.list) do
    local whole, places = true, {}
    for name in line:gmatch(line:find("\t", 1, true) and "[^\t]+" or "%S+") do
      places[#places + 1] = place_of(part.given.root, name)
      if #places == 0 or places[#places] == nil then whole = false end
      if not place_of(part.given.root, name) then
        whole = false
        memory:problem(part.title, nil, ("%s, which the list %s names, is not there"):format(name, part.list))
      end
    end
    if whole and #places > 0 then kept[#kept + 1] = table.concat(places, "\t") end
  end
  return kept
end

--- Makes a data set; files of samples that are missing are left for when they are decoded, where the constructor can.
---@return boolean ok
---@return asl.Dataset|any set  or the problem
local function attempt(kind, given)
  return pcall(files.lenient, require("asl.data")[kind], given)
end

--- A data set of the samples of a list that are there.
local function make_of_rest(part, memory, out)
  local kept = lines_there(part, memory)
  if #kept == 0 then return nil end
  local list = fs.join(out, "complete.txt")
  core.fs.write(list, table.concat(kept, "\n") .. "\n", { durable = false })
  local given = { root = part.given.root, list = list }
  for name, value in pairs(part.lenient) do given[name] = value end
  local ok, set = attempt("folder", given)
  core.fs.remove(list)
  if not ok then
    memory:problem(part.title, nil, fault.cause(set))
    return nil
  end
  for i, path in ipairs(set.files) do
    if path == list then set.files[i] = part.list end
  end
  return set
end

--- Each note once.
local function add_note(notes, text)
  for _, known in ipairs(notes) do
    if known == text then return end
  end
  notes[#notes + 1] = text
end

--- A part that cannot be had as it is, with other arguments.
local function make_instead(part, notes, message)
  for _, more in ipairs(part.instead or {}) do
    local given, shown = {}, {}
    for name, value in pairs(part.given) do given[name] = value end
    for name, value in pairs(more) do
      given[name], shown[#shown + 1] = value, ("%s=%s"):format(name, tostring(value))
    end
    local ok, set = attempt(part.kind, given)
    if ok then
      table.sort(shown)
      add_note(notes, ("%s is read with %s: %s"):format(part.title, table.concat(shown, " "), message))
      return set
    end
  end
  return nil
end

--- The data set of a part; nil where there is none, which is a problem or, of an optional part, a note.
local function make(part, memory, notes, out)
  local ok, set = pcall(files.lenient, part.make)
  if ok then return set end
  if part.list then return make_of_rest(part, memory, out) end
  local message = fault.cause(set)
  set = make_instead(part, notes, message)
  if set then return set end
  if part.optional then
    add_note(notes, message)
  else
    memory:problem(part.title, nil, message)
  end
  return nil
end

-- ---- looking ----------------------------------------------------------------------------------------------------------

local function sorted_files(memory, root)
  local sorted = {}
  for path, file in pairs(memory.used) do
    local shown = path:sub(1, #root + 1) == root .. "/" and path:sub(#root + 2) or path
    sorted[#sorted + 1] = { path = shown, bytes = file.bytes, sha256 = file.sha256 }
  end
  table.sort(sorted, function(a, b) return a.path < b.path end)
  return sorted
end

local function look(parts, memory, quiet)
  local total = 0
  for _, part in ipairs(parts) do total = total + #part.set end
  local bar = progress.new { total = total, label = "looking at samples", unit = "sample", quiet = quiet }
  memory.used = {}
  for _, part in ipairs(parts) do
    survey.own_files(memory, part.title, part.set)
    for _, path in ipairs(part.set.files) do memory.used[path] = memory.files[path] end
    local counter = tally.new(part.set)
    part.sound = {}
    survey.samples(memory, part.title, part.set, function(i, found)
      part.sound[i] = true
      counter:add(found)
    end, bar)
    for i = 1, #part.set do
      for _, path in ipairs(survey.files_of(part.set, i)) do memory.used[path] = memory.files[path] end
    end
    part.tally = counter:sum()
  end
  bar:finish()
end

--- Splits must have no sample in common; that they share sequences may be so, and is told.
local function compare_splits(a, b, memory, notes)
  local ids, shared, sequences, both = {}, {}, {}, {}
  for _, id in ipairs(a.set.ids) do ids[id] = true end
  for _, id in ipairs(b.set.ids) do
    if ids[id] then shared[#shared + 1] = id end
  end
  if #shared > 0 then
    memory:problem(a.title, nil, ("%d sample%s of it %s in %s too: %s%s"):format(#shared, #shared == 1 and "" or "s",
      #shared == 1 and "is" or "are", b.title, shared[1], #shared > 1 and ", ..." or ""))
  end
  for _, name in ipairs(a.tally.sequences) do sequences[name] = true end
  for _, name in ipairs(b.tally.sequences) do
    if sequences[name] then both[#both + 1] = name end
  end
  if #both > 0 and #a.tally.sequences + #b.tally.sequences > 2 then
    notes[#notes + 1] = ("%s and %s have %d sequence%s in common: %s%s"):format(a.title, b.title, #both, #both == 1 and "" or "s",
      table.concat(both, ", ", 1, math.min(#both, 5)), #both > 5 and ", ..." or "")
  end
end

local function compare(parts, memory, notes)
  for i, a in ipairs(parts) do
    for j = i + 1, #parts do
      if parts[j].group == a.group then compare_splits(a, parts[j], memory, notes) end
    end
  end
end

--- Pictures of some sound samples of each part.
local function pictures(parts, samples)
  local loader <close>, groups = sheet.loader(), {}
  for p, part in ipairs(parts) do
    local share = samples * p // #parts - samples * (p - 1) // #parts
    local positions, rows = {}, {}
    for i = 1, #part.set do
      if part.sound[i] then positions[#positions + 1] = i end
    end
    local set = part.set:subset(positions)
    for r, i in ipairs(sheet.choose(set, math.max(1, share))) do
      packed.stop_if_asked()
      rows[r] = sheet.row(set, i, loader)
    end
    if #rows > 0 then groups[#groups + 1] = { title = part.title, set = set, rows = rows } end
  end
  return groups
end

-- ---- writing ----------------------------------------------------------------------------------------------------------

local function write_manifest(path, list)
  local lines = { "path\tbytes\tsha256" }
  for i, file in ipairs(list) do lines[i + 1] = ("%s\t%d\t%s"):format(file.path, file.bytes, file.sha256) end
  core.fs.write(path, table.concat(lines, "\n") .. "\n")
end

local function classes_of(part)
  if not part.tally.labelled then return nil end
  local list = {}
  for i, name in ipairs(part.set.class_names) do list[i] = { name = name, pixels = part.tally.labelled[i] } end
  return json.array(list)
end

local function summary_of(input)
  local parts, problems = json.array {}, json.array {}
  for i, part in ipairs(input.parts) do
    local sum = part.tally
    parts[i] = {
      title = part.title, kind = part.kind, dataset = part.set.name, digest = part.set:digest(), samples = sum.samples,
      sound = sum.sound, sequences = json.array(sum.sequences), samples_by_sequence = sum.counts, sizes = json.array(sum.sizes),
      planes = part.set.planes, pixels = sum.pixels, ignored = sum.labelled and sum.ignored or nil, classes = classes_of(part),
      depth = sum.depth, flow = sum.flow,
    }
  end
  for i, problem in ipairs(input.problems) do problems[i] = problem end
  return { path = input.path, kind = input.kind, parts = parts, problems = problems, notes = json.array(input.notes),
    files = #input.files }
end

local function write_all(input, out)
  write_manifest(fs.join(out, "manifest.tsv"), input.files)
  json.write(fs.join(out, "summary.json"), summary_of(input))
  core.fs.write(fs.join(out, "report.html"), page.html(input))
  if #input.groups > 0 then
    core.fs.write(fs.join(out, "sheet.png"), sheet.png(("%s in %s"):format(input.kind, input.path), input.groups))
  end
  core.fs.remove(fs.join(out, "manifest.tsv.part"))
end

--- Which folders in a folder are data sets, for who named the folder above.
local function look_below(path)
  local found = {}
  for _, name in ipairs(core.fs.stat(path).is_dir and core.fs.list(path) or {}) do
    local kind = #found < 5 and recognise.at(fs.join(path, name))
    if kind then found[#found + 1] = ("asl data check %s (%s)"):format(fs.join(path, name), kind) end
  end
  return #found > 0 and table.concat(found, ", or ") or nil
end

--- Checks what lies at a path; prints the summary.
---@param given { path: string, out?: string, samples?: integer, quiet?: boolean }  out: the folder to write into
---  (./check-NAME); samples: on the contact sheet (12); quiet: print nothing
---@return integer code  0, or 65 where something is wrong
--- Errors: nothing there, or nothing that is known (exit code 65), saying what was looked for.
function check.run(given)
  local o = options.check("asl data check", given, {
    path = options.require "string", out = options.optional "string", samples = DEFAULT_SAMPLES, quiet = false,
  })
  if not core.fs.stat(o.path) then
    fault.raise(("%s is not there"):format(o.path), { level = 0, exit_code = fault.exit.data })
  end
  local path = o.path:gsub("(.)/+$", "%1")
  local kind, found = recognise.at(path)
  if not kind then
    fault.raise(("%s: no data set that asl knows lies there; it looked for\n%s"):format(path, found),
      { level = 0, exit_code = fault.exit.data, hint = look_below(path) })
  end
  local out = o.out or "check-" .. fs.slug(fs.basename(fs.realpath(path)))
  core.fs.mkdirs(out)
  local memory, parts, notes = survey.memory(fs.join(out, "manifest.tsv.part")), {}, {}
  for _, part in ipairs(found) do
    part.set = make(part, memory, notes, out)
    if part.set then parts[#parts + 1] = part end
  end
  if #parts == 0 then
    for _, note in ipairs(notes) do memory:problem(kind, nil, note) end
    notes = {}
  end
  look(parts, memory, o.quiet)
  memory:close()
  compare(parts, memory, notes)
  local input = {
    path = path, kind = kind, parts = parts, problems = memory.problems, notes = notes, files = sorted_files(memory, path),
    groups = pictures(parts, o.samples), command = ("asl data check %s --out %s"):format(path, out),
  }
  write_all(input, out)
  if not o.quiet then
    print(words.text(input))
    print(("written: %s/ report.html, %smanifest.tsv, summary.json"):format(out, #input.groups > 0 and "sheet.png, " or ""))
  end
  return #input.problems == 0 and 0 or fault.exit.data
end

return check
