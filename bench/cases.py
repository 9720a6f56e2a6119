"""What compare.py compares: groups of cases. A case is a dictionary that both workers understand.

kind     the function of asl_cases.lua and torch_cases.py (or asl_data.lua, torch_data.py) that does it
repeat   iterations per round of what is too short for one; figures are per iteration
steps    steps of an iteration of what only makes sense several times in a row; figures are per step
"""
import itertools

# Variants of PyTorch: both layouts, with the malloc as installed and tuned; numbers of loader workers.
EAGER = [dict(layout=layout, tuned=tuned) for tuned, layout in itertools.product((False, True), ("nchw", "nhwc"))]
COMPILED = [dict(layout="nhwc", tuned=True, compiled=True)]
WORKERS = [dict(layout="nhwc", tuned=True, workers=n) for n in (0, 1, 2)]
# What decodes and changes pictures; each as installed and with tuned malloc.
DECODERS = [dict(decoder=decoder, tuned=tuned, workers=2) for decoder in ("pillow", "torchvision")
            for tuned in (False, True)]


def sized(kind, title, batch, height, width, variants, **more):
    title = "%s, batch %d, %dx%d" % (title, batch, height, width)
    return dict(kind=kind, title=title, batch=batch, height=height, width=width, classes=40, variants=variants, **more)


def layer(inputs, outputs, height, width, kernel=1, stride=1, padding=0, groups=1, norm=True, relu=True):
    what = "pointwise" if kernel == 1 else "depthwise" if groups > 1 else "conv"
    channels = "%d" % inputs if groups > 1 else "%d > %d" % (inputs, outputs)
    notes = (" /%d" % stride if stride > 1 else "") + ("" if norm and relu else ", no ReLU" if norm else ", conv alone")
    return dict(kind="layer", title="%s %s at %dx%d%s" % (what, channels, height, width, notes), batch=8, repeat=3,
                inputs=inputs, outputs=outputs, height=height, width=width, kernel=kernel, stride=stride,
                padding=padding, groups=groups, norm=norm, relu=relu, variants=EAGER)


def depthwise(channels, height, width, stride=1):
    return layer(channels, channels, height, width, 3, stride, 1, channels)


GROUPS = {
    "train": [
        sized("train", "training step", 8, 320, 640, EAGER + COMPILED),
        sized("train", "training step", 2, 320, 640, EAGER + COMPILED),
        sized("replay", "training step with replay and loader", 8, 384, 384, WORKERS, steps=4, share=0.5),
    ],
    "infer": [
        sized("infer", "inference", 1, 320, 640, EAGER + COMPILED, repeat=3),
        sized("infer", "inference", 1, 480, 640, EAGER + COMPILED, repeat=3),
        sized("infer", "inference", 1, 1024, 2048, EAGER + COMPILED),
    ],
    # The distinct shapes of Fast-SCNN at 320x640.
    "layer": [
        layer(3, 32, 320, 640, kernel=3, stride=2),
        depthwise(32, 159, 319, stride=2),
        layer(32, 48, 80, 160),
        depthwise(48, 80, 160, stride=2),
        layer(48, 64, 40, 80),
        layer(64, 384, 40, 80),
        depthwise(384, 40, 80, stride=2),
        layer(384, 64, 20, 40, relu=False),
        depthwise(384, 20, 40),
        depthwise(576, 10, 20),
        layer(128, 768, 10, 20),
        depthwise(768, 10, 20),
        layer(768, 128, 10, 20, relu=False),
        depthwise(128, 40, 80),
        layer(128, 128, 40, 80),
        layer(128, 40, 40, 80, norm=False, relu=False),
    ],
    "loss": [
        sized("loss", "upsample and cross entropy, with gradient", 8, 320, 640, EAGER),
        sized("evaluate", "upsample, argmax and confusion matrix", 8, 320, 640, EAGER),
    ],
    "loader": [
        sized("loader", "JPEG and PNG files to an augmented batch", 8, 320, 640, WORKERS, steps=8),
        sized("photos", "JPEG 1024x768 to an augmented batch", 8, 320, 640, DECODERS, steps=12),
        sized("photos", "packed at 960x480 to an augmented batch", 8, 320, 640, DECODERS, steps=12, packed=[480, 960]),
        sized("photos", "packed at 640x320 to an augmented batch", 8, 320, 640, DECODERS, steps=12, packed=[320, 640]),
    ],
}

# A process that does nothing but one case shows that case's peak memory; for layers that is of no interest.
MEMORY = {"train", "infer", "loss"}
