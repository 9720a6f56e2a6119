--- Files and directories. Every failure raises an error with the path and the system's reason.

local core = require "asl.core"

local fs = {}

--- Creates a directory and its missing parents; fine when it exists.
---@type fun(path: string)
fs.mkdirs = core.fs.mkdirs

--- Renames a file or directory, replacing a file that is there; durable when it returns.
---@type fun(from: string, to: string)
fs.rename = core.fs.rename

--- Removes a file or an empty directory; fine when there is none.
---@type fun(path: string)
fs.remove = core.fs.remove

--- Removes a directory with everything in it; does not follow links.
---@type fun(path: string)
fs.remove_tree = core.fs.remove_tree

--- Names in a directory, sorted by bytes.
---@type fun(path: string): string[]
fs.list = core.fs.list

--- Size in bytes, whether it is a directory, and time of the last change (seconds since 1970);
--- nil when there is nothing.
---@type fun(path: string): {size: integer, is_dir: boolean, mtime: number}?
fs.stat = core.fs.stat

--- The absolute path without links; the path must exist.
---@type fun(path: string): string
fs.realpath = core.fs.realpath

--- A fresh directory below TMPDIR or /tmp.
---@type fun(): string
fs.temp_dir = core.fs.temp_dir

--- The bytes of a file; raises above `cap` bytes (default 1 GiB).
---@type fun(path: string, cap: integer?): string
fs.read = core.fs.read

--- Replaces a file in one step: a crash or a full disk leaves the old one. `durable` (default true):
--- the bytes are on the disk when it returns.
---@type fun(path: string, bytes: string, options: {durable: boolean?}?)
fs.write = core.fs.write

--- Opens a file for appending: a handle with `write(bytes)` (all or nothing), `size()`,
--- `truncate(size)`, `sync()` and `close()`.
---@type fun(path: string): userdata
fs.append = core.fs.append

--- Takes the lock `path`, or raises naming who has it. Held until `lock:release()` or the end of the
--- process.
---@type fun(path: string): userdata
fs.lock = core.fs.lock

--- Whether someone holds the lock.
---@type fun(path: string): boolean
fs.locked = core.fs.locked

--- Removes what killed processes left half-written in a directory (`fs.write` and checkpoints grow beside the file
--- they replace). Only who has the directory to itself may do so.
---@param dir string  fine when there is none
function fs.remove_half_written(dir)
  for _, name in ipairs(fs.stat(dir) and fs.list(dir) or {}) do
    if name:find("%.tmp%-%d+$") then fs.remove(fs.join(dir, name)) end
  end
end

--- Joins parts of a path; a part that begins with "/" starts anew.
---@param ... string
---@return string
function fs.join(...)
  local path = ""
  for _, part in ipairs { ... } do
    if part:sub(1, 1) == "/" or path == "" then
      path = part
    else
      path = path:gsub("/+$", "") .. "/" .. part
    end
  end
  return path
end

--- The last part of a path.
---@param path string
---@return string
function fs.basename(path)
  return path:match("([^/]+)/*$") or path
end

--- A path without its last part; "." when it has only one.
---@param path string
---@return string
function fs.dirname(path)
  return path:match("^(.*[^/])/+[^/]+/*$") or (path:sub(1, 1) == "/" and "/" or ".")
end

--- A name made fit for a file: letters, digits, ".", "_" and "-" stay, the rest becomes "_".
---@param name string
---@return string
function fs.slug(name)
  local slug = name:gsub("[^%w._-]", "_"):gsub("^%.", "_")
  return slug ~= "" and slug or "_"
end

return fs
