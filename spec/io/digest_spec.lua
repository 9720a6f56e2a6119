local core = require "asl.core"

describe("digests", function()
  it("agree with the published values", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", core.sha256(""))
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", core.sha256("abc"))
    assert.equal(0xE3069283, core.crc32c("123456789"))
    assert.equal(0, core.crc32c(""))
  end)

  it("write base64 as RFC 4648 has it", function()
    local vectors = { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", foobar = "Zm9vYmFy" }
    for text, expected in pairs(vectors) do
      assert.equal(expected, core.base64(text))
    end
    assert.equal("/+8A", core.base64("\xff\xef\0"))
  end)
end)
