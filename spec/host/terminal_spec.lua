--- The prompt as a person sees it: in a terminal, driven through tmux.

local core = require "asl.core"
local program = require "spec.support.program"

local function pause(seconds)
  os.execute("sleep " .. seconds)
end

--- A terminal with a shell in it.
local function terminal(dir)
  local socket = "tmux -S " .. program.quote(dir .. "/tmux")
  local this = {}

  function this.command(text)
    return program.shell(socket .. " " .. text)
  end

  function this.type(text)
    this.command("send-keys -l -- " .. program.quote(text))
  end

  function this.key(name)
    this.command("send-keys " .. name)
  end

  function this.screen()
    return this.command("capture-pane -p").out
  end

  --- Waits until the screen shows the text.
  function this.expect(text)
    for _ = 1, 100 do
      if this.screen():find(text, 1, true) then return end
      pause(0.05)
    end
    error("not on the screen: " .. text .. "\n" .. this.screen(), 2)
  end

  function this.line(text, expected)
    this.type(text)
    this.key "Enter"
    this.expect(expected)
  end

  this.command("-f /dev/null new-session -d -x 90 -y 50 'env PS1=% sh'")
  return this
end

local function with_prompt(check)
  if not os.execute("command -v tmux >/dev/null") then
    pending "tmux is not installed"
    return
  end
  program.in_directory(function(dir)
    local tty = terminal(dir)
    local ok, problem = pcall(function()
      tty.type("XDG_STATE_HOME=" .. dir .. " LC_ALL=C.UTF-8 " .. program.quote(program.path()))
      tty.key "Enter"
      tty.expect "asl>"
      check(tty, dir)
    end)
    tty.command "kill-server"
    if not ok then error(problem, 0) end
  end)
end

describe("the prompt in a terminal", function()
  it("evaluates, reads several lines, edits, completes and remembers", function()
    with_prompt(function(tty, dir)
      tty.line("local x = 41", "asl> local x = 41\nasl>")
      tty.line("x + 1", "\n42\n")
      tty.line("for i = 1, 2 do", "...>")
      tty.line("print('i', i)", "print('i', i)\n...>")
      tty.line("end", "\ni       2\n")
      tty.line('"h\u{e9}llo"', '\n"h\u{e9}llo"\n')
      tty.type "asl.mem"
      tty.key "Tab"
      tty.line("", "asl> asl.memory\nfunction (")
      tty.type "string.l"
      tty.key "Tab"
      tty.expect "len    lower"
      tty.key "C-u"
      tty.key "Up"
      tty.key "Up"
      tty.expect 'asl> "h\u{e9}llo"\n'
      tty.key "C-u"
      tty.line("?asl.zeros", "A tensor of zeros.")
      tty.key "C-d"
      tty.expect "%"
      assert.equal("local x = 41\nx + 1\nfor i = 1, 2 do\\nprint('i', i)\\nend\n\"h\u{e9}llo\"\nasl.memory\n?asl.zeros\n",
        core.fs.read(dir .. "/asl/history"))
    end)
  end)

  it("survives Ctrl-C: in a loop, while typing, in half a statement", function()
    with_prompt(function(tty)
      tty.line("n = 7", "asl> n = 7\nasl>")
      tty.line("while true do end", "while true do end\n")
      pause(0.2)
      tty.key "C-c"
      tty.expect "^Casl: interrupted at stdin:1\nasl>"
      tty.type "abandoned"
      tty.key "C-c"
      tty.expect "abandoned^C\nasl>"
      tty.line("function f(", "...>")
      tty.key "C-c"
      tty.expect "...> ^C\nasl>"
      tty.line("n * 6", "\n42\n")
    end)
  end)

  it("brings back what the last session typed", function()
    with_prompt(function(tty, dir)
      tty.line("'first'", '\n"first"\n')
      tty.key "C-d"
      tty.line("clear", "%")
      tty.line("XDG_STATE_HOME=" .. dir .. " " .. program.quote(program.path()), "asl>")
      tty.key "Up"
      tty.expect "asl> 'first'"
    end)
  end)

  it("draws pictures with half blocks", function()
    with_prompt(function(tty)
      tty.line("asl.show(asl.zeros({4, 6}, {dtype = 'u8'}))", "\n▀▀▀▀▀▀\n▀▀▀▀▀▀\n")
    end)
  end)
end)
