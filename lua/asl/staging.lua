--- Staging: archives unpacked once to a local disk, where a network's disk is slow with many small files.
---
---     -- the environment file
---     return { scratch = "/local", nyuv2 = { archive = "/net/nyu.tar.gz", folder = "nyu" } }
---
--- asl.env.path unpacks such an entry when it is first asked for. One process does; others that need it, ranks on the
--- same machine or other runs, wait. It is there from then on under SCRATCH/asl-staged, by the archive's path, size,
--- time of change and digest: a new archive is unpacked beside the old one, which may be removed by hand when nothing
--- reads it.

local core = require "asl.core"
local fault = require "asl.fault"
local fs = require "asl.fs"
local json = require "asl.json"
local options = require "asl.options"
local progress = require "asl.progress"

local staging = {}

local STEP_BYTES = 16 << 20 -- unpacked between two looks at interrupts
local PAUSE = 0.2           -- seconds between two looks at a lock

local ENTRY = {
  archive = options.require "string", folder = options.optional "string", scratch = options.optional "string",
  sha256 = options.optional "string",
}

local function say(format, ...)
  io.stderr:write("asl: ", format:format(...), "\n")
end

local function usage(hint, format, ...)
  return fault.raise(format:format(...), { level = 0, exit_code = fault.exit.usage, hint = hint })
end

--- What the disk refused can be tried again; what the archive holds cannot.
local function failed(archive, problem)
  local cause = fault.cause(problem)
  local disk = cause:find "cannot " or cause:find "the disk has room"
  return fault.raise(("%s: %s"):format(archive, cause), { level = 0,
    exit_code = disk and fault.exit.io or fault.exit.data })
end

-- ---- places -----------------------------------------------------------------------------------

--- Where an archive is unpacked to: the folder, and beside it its lock, its stamp and what is unfinished.
local function place_of(name, entry, scratch)
  local info = fs.stat(entry.archive)
  if not info or info.is_dir then
    fault.raise(("%s: the archive %s is %s"):format(name, entry.archive, info and "a folder" or "not there"),
      { level = 0, exit_code = fault.exit.io })
  end
  local what = { archive = fs.realpath(entry.archive), size = info.size, mtime = ("%.9f"):format(info.mtime),
    sha256 = entry.sha256 or "" }
  local key = core.sha256(table.concat({ what.archive, what.size, what.mtime, what.sha256 }, "\n")):sub(1, 16)
  local root = fs.join(scratch, "asl-staged", fs.slug(name) .. "-" .. key)
  return { what = what, root = root, lock = root .. ".lock", stamp = root .. ".stamp", part = root .. ".part" }
end

--- Whether all of it is there. What says so is written last; files may have been removed since.
local function is_there(place)
  if not fs.stat(place.stamp) or not fs.stat(place.root) then return false end
  local stamp = json.decode(fs.read(place.stamp))
  local files, bytes = core.tree_size(place.root)
  if files == stamp.files and bytes == stamp.bytes then return true end
  say("%s has %d files with %d bytes instead of %d with %d: it is unpacked again", place.root, files, bytes,
    stamp.files, stamp.bytes)
  return false
end

-- ---- unpacking --------------------------------------------------------------------------------

--- Files, bytes and blocks of a plain archive, from its headers; nil of one that would have to be inflated for that.
local function content_of(archive)
  local untar <close> = core.untar(archive)
  if not untar:counts_fast() then return nil end
  local state
  repeat state = untar:step(STEP_BYTES) until state.done
  return state
end

local function check_room(place, archive)
  local ok, content = pcall(content_of, archive)
  if not ok then failed(archive, content) end
  local needed, free = content and content.room or place.what.size, core.free_bytes(fs.dirname(place.root))
  if needed <= free then return end
  fault.raise(("%s needs %s%s; %s has %s"):format(archive, content and "" or "more than ", progress.bytes(needed),
    fs.dirname(place.root), progress.bytes(free)), { level = 0, exit_code = fault.exit.io,
    hint = "make room, or set scratch = \"DIRECTORY\" to a larger disk" })
end

local function unpack_into(folder, archive, sha256, bar)
  local untar <close> = core.untar(archive, folder, sha256 ~= nil)
  local state
  repeat
    state = untar:step(STEP_BYTES)
    bar:update(state.read)
  until state.done
  local digest = untar:digest()
  if sha256 and digest ~= sha256 then error(("its SHA-256 is %s, not %s"):format(digest, sha256), 0) end
  untar:sync()
  return state
end

local function check_written(folder, state)
  local files, bytes = core.tree_size(folder)
  if files == state.files and bytes == state.bytes then return end
  error(("%d files with %d bytes were written of %d with %d"):format(files, bytes, state.files, state.bytes), 0)
end

--- What an error or an interrupt leaves is removed; what a killed process left is removed before.
local function unfinished(folder)
  fs.remove_tree(folder)
  fs.mkdirs(folder)
  return setmetatable({}, { __close = function() fs.remove_tree(folder) end })
end

local function unpack(place, archive, sha256)
  check_room(place, archive)
  local part <close> = unfinished(place.part) -- luacheck: ignore 211
  local bar = progress.new { total = place.what.size, label = "unpacking " .. fs.basename(archive), unit = "B" }
  local ok, state = pcall(unpack_into, place.part, archive, sha256, bar)
  if not ok then
    if fault.cause(state) == "interrupted" then error(state, 0) end
    failed(archive, state)
  end
  bar:finish()
  check_written(place.part, state)
  fs.remove(place.stamp)
  fs.remove_tree(place.root)
  fs.rename(place.part, place.root)
  local stamp = { files = state.files, bytes = state.bytes }
  for key, value in pairs(place.what) do stamp[key] = value end
  fs.write(place.stamp, json.encode(stamp) .. "\n")
end

--- The lock; waits as long as another process has it.
local function take_lock(place, archive)
  local told = false
  while true do
    local ok, lock = pcall(fs.lock, place.lock)
    if ok then return setmetatable({}, { __close = function() lock:release() end }) end
    local owner = fault.cause(lock):match "is locked by (.*)$"
    if not owner then error(lock, 0) end
    if not told then say("waiting for %s, which unpacks %s", owner, archive) end
    told = true
    core.ranks.pause(PAUSE)
  end
end

-- ---- paths ------------------------------------------------------------------------------------

local known = {} -- what this process found or unpacked, by folder

local function check_entry(name, entry, scratch)
  local ok, checked = pcall(options.check, name, entry, ENTRY)
  if not ok then usage(nil, "%s", fault.cause(checked)) end
  if checked.sha256 and not checked.sha256:find("^" .. ("%x"):rep(64) .. "$") then
    usage(nil, "%s: sha256 has 64 hex digits, not %q", name, checked.sha256)
  end
  checked.sha256 = checked.sha256 and checked.sha256:lower()
  checked.scratch = checked.scratch or scratch or os.getenv "TMPDIR"
  if not checked.scratch or checked.scratch == "" then
    usage("write scratch = \"DIRECTORY\" beside it, a folder on a local disk; or set TMPDIR",
      "%s: where is %s to be unpacked?", name, checked.archive)
  end
  return checked
end

local function folder_in(place, name, entry)
  if not entry.folder then return place.root end
  local path = fs.join(place.root, (entry.folder:gsub("^/+", "")))
  local info = fs.stat(path)
  if info and info.is_dir then return path end
  return usage(nil, "%s: there is no folder %q in %s (there are: %s)", name, entry.folder, entry.archive,
    table.concat(fs.list(place.root), ", "))
end

--- Where an archive's content lies, unpacked now if it is not there yet. An interrupt leaves nothing half.
---@param name string   of the entry, for messages and the folder's name
---@param entry table   named arguments:
---   archive (string): a tar file (ustar, pax, GNU's long names) of files and folders only, plain or compressed by
---     gzip;
---   folder (string): the folder in it that is meant (default: all of it);
---   scratch (string): where to unpack (default: `scratch`, else $TMPDIR);
---   sha256 (string): the archive's digest, checked when it is unpacked
---@param scratch string|nil  the environment's own
---@return string path
---@error an archive that is not there, damaged, no tar, has links or names that lead out of it, or another digest; a
---   disk without room; a folder that is not in it
function staging.path(name, entry, scratch)
  entry = check_entry(name, entry, scratch)
  local place = place_of(name, entry, entry.scratch)
  if not known[place.root] then
    fs.mkdirs(fs.dirname(place.root))
    if not is_there(place) then
      local lock <close> = take_lock(place, entry.archive) -- luacheck: ignore 211
      if not is_there(place) then unpack(place, entry.archive, entry.sha256) end
    end
    known[place.root] = true
  end
  return folder_in(place, name, entry)
end

return staging
