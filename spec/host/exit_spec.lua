local program = require "spec.support.program"

describe("the program", function()
  it("ends well while the threads of the kernels still run", function()
    -- When threads lost their code at the end, one exit in thirty crashed.
    local result = program.shell(([[
      n=0; while [ $n -lt 200 ]; do
        n=$((n + 1)); %s -e 'asl.threads(8) local x = asl.rand{256, 256} x:matmul(x)' || { echo "exit $?"; break; }
      done]]):format(program.quote(program.path())))
    assert.equal("", result.err)
    assert.equal("", result.out)
  end)
end)
