local program = require "spec.support.program"

it("luacheck has nothing to say", function()
  if not os.execute "command -v luacheck >/dev/null" then
    pending "luacheck is not installed"
    return
  end
  local result = program.shell "luacheck --no-color -q ."
  assert.equal(0, result.code, result.out .. result.err)
end)
