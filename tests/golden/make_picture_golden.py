#!/usr/bin/env python3
"""Writes pictures/KIND/ and pictures.txt: small files of every kind, and what Pillow makes of them.

Run once, with Pillow 13.0 and numpy 2.4 installed, from the root of the repository:

    python tests/golden/make_picture_golden.py

Lines of pictures.txt: NAME WIDTH HEIGHT SHA256, of the upright picture as 8-bit RGB, rows from the
top. That is ImageOps.exif_transpose() and convert("RGB"), but where Pillow cuts or clips 16 bits:
those are computed here, as round(v * 255 / 65535).

The files are also where damaged ones start from (tests/unit/formats/image/bad_pictures.h) and what
the fuzz tests begin with. Those that no library writes are written here, by hand.
"""

import hashlib
import io
import os
import struct
import zlib

import numpy
from PIL import Image, ImageOps

FOLDER = os.path.join("tests", "golden", "pictures")
WIDTH, HEIGHT = 23, 17
random = numpy.random.RandomState(7)


def picture(channels):
    """Smooth colours with a little noise, HEIGHT x WIDTH x channels, 16 bits."""
    y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [32768 + 22000 * numpy.sin(0.21 * x + c) * numpy.cos(0.17 * y - c) +
              random.randint(-3000, 3000, (HEIGHT, WIDTH)) for c in range(channels)]
    return numpy.stack(planes, -1).astype(numpy.uint16)


WIDE = picture(4)
WIDE[0, :4, 0] = (0, 65535, 128, 129)  # ends of the range, and what rounds down and up
WIDE[1, :2, 3] = (0, 65535)
BYTES = (WIDE >> 8).astype(numpy.uint8)
ALPHA = BYTES[..., 3]


def narrow(wide):
    return ((wide.astype(numpy.uint64) * 255 * 2 + 65535) // (2 * 65535)).astype(numpy.uint8)


def to_rgb(array):
    """Grey, grey with alpha, RGB or RGB with more, to RGB."""
    return numpy.repeat(array[..., :1], 3, -1) if array.shape[-1] < 3 else array[..., :3]


# --- Files by hand ------------------------------------------------------------------------------


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(array, bits, color, interlaced=False, extra=b""):
    """`array`: HEIGHT x WIDTH x channels. `extra`: chunks before the data."""
    def rows(part):
        if bits == 16:
            return b"".join(b"\0" + row.astype(">u2").tobytes() for row in part)
        return b"".join(b"\0" + row.astype(numpy.uint8).tobytes() for row in part)

    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
                  (0, 1, 1, 2)]
    data = b"".join(rows(array[y::dy, x::dx]) for x, y, dx, dy in passes
                    if array[y::dy, x::dx].size)
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], bits, color, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra +
            chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b""))


def exif(orientation):
    """A directory of two entries, big-endian."""
    return (b"MM\0*" + struct.pack(">IH", 8, 2) + struct.pack(">HHIHH", 0x100, 3, 1, 7, 0) +
            struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0) + struct.pack(">I", 0))


def tiff(blocks, tags, order="<", big=False):
    """A file of uncompressed or packed `blocks`: strips, or tiles if `tags` have sizes of them."""
    magic = {"<": b"II", ">": b"MM"}[order]
    tiled = 322 in tags
    word = "Q" if big else "I"
    head = 16 if big else 8
    offsets, data = [], b""
    for block in blocks:
        offsets.append(head + len(data))
        data += block + b"\0" * (len(block) % 2)
    tags = dict(tags)
    tags[324 if tiled else 273] = (4, offsets)
    tags[325 if tiled else 279] = (4, [len(block) for block in blocks])
    size = {1: 1, 3: 2, 4: 4}
    letter = {1: "B", 3: "H", 4: "I"}
    entry_bytes = 20 if big else 12
    directory_at = head + len(data)
    beyond_at = directory_at + (8 if big else 2) + entry_bytes * len(tags) + (8 if big else 4)
    entries, beyond = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        raw = struct.pack(f"{order}{len(values)}{letter[kind]}", *values)
        assert len(raw) == size[kind] * len(values)
        if len(raw) > (8 if big else 4):
            where = beyond_at + len(beyond)
            beyond += raw + b"\0" * (len(raw) % 2)
            raw = struct.pack(order + word, where)
        entries += struct.pack(f"{order}HH{word}", tag, kind, len(values))
        entries += raw.ljust(8 if big else 4, b"\0")
    header = (magic + struct.pack(order + "HHHQ", 43, 8, 0, directory_at) if big
              else magic + struct.pack(order + "HI", 42, directory_at))
    count = struct.pack(order + ("Q" if big else "H"), len(tags))
    return header + data + count + entries + struct.pack(order + word, 0) + beyond


def tiff_tags(array, bits, photometric, rows=HEIGHT, **more):
    tags = {256: (3, [array.shape[1]]), 257: (3, [array.shape[0]]),
            258: (3, [bits] * array.shape[2]), 259: (3, [1]), 262: (3, [photometric]),
            277: (3, [array.shape[2]]), 278: (3, [rows])}
    tags.update({int(key[1:]): value for key, value in more.items()})
    return tags


def strips(array, rows, order="<"):
    wide = array.dtype == numpy.uint16
    return [array[y:y + rows].astype(order + "u2" if wide else numpy.uint8).tobytes()
            for y in range(0, HEIGHT, rows)]


def tiles(array, side):
    padded = numpy.zeros((-(-HEIGHT // side) * side, -(-WIDTH // side) * side, array.shape[2]),
                         array.dtype)
    padded[:HEIGHT, :WIDTH] = array
    return [padded[y:y + side, x:x + side].tobytes()
            for y in range(0, padded.shape[0], side) for x in range(0, padded.shape[1], side)]


def pack(values, bits):
    """Rows of small samples, most significant first, each row filled up to a byte."""
    rows = []
    for row in values:
        text = "".join(format(int(v), f"0{bits}b") for v in row)
        text += "0" * (-len(text) % 8)
        rows.append(int(text, 2).to_bytes(len(text) // 8, "big"))
    return rows


# --- The list -----------------------------------------------------------------------------------


def by_pillow(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def files():
    """Yields name, bytes, and the expected RGB or None where Pillow's is right."""
    rgb = Image.fromarray(BYTES[..., :3])
    rgba = Image.fromarray(BYTES)
    grey = Image.fromarray(BYTES[..., 0])
    grey_alpha = Image.merge("LA", (grey, Image.fromarray(ALPHA)))
    cmyk = Image.fromarray(BYTES, "CMYK")
    bilevel = grey.convert("1")
    palette = rgb.quantize(50)

    yield "baseline.jpg", by_pillow(rgb, "JPEG", quality=90), None
    yield "full_chroma.jpg", by_pillow(rgb, "JPEG", quality=90, subsampling=0), None
    yield "progressive.jpg", by_pillow(rgb, "JPEG", progressive=True), None
    yield "grey.jpg", by_pillow(grey, "JPEG"), None
    yield "cmyk.jpg", by_pillow(cmyk, "JPEG"), None
    yield "restarts.jpg", by_pillow(rgb, "JPEG", restart_marker_blocks=1), None
    for orientation in range(2, 9):
        yield (f"turned{orientation}.jpg",
               by_pillow(rgb, "JPEG", exif=b"Exif\0\0" + exif(orientation)), None)

    yield "rgb.png", by_pillow(rgb, "PNG"), None
    yield "rgba.png", by_pillow(rgba, "PNG"), None
    yield "grey.png", by_pillow(grey, "PNG"), None
    yield "grey_alpha.png", by_pillow(grey_alpha, "PNG"), None
    yield "bilevel.png", by_pillow(bilevel, "PNG"), None
    yield "palette.png", by_pillow(palette, "PNG"), None
    yield "palette4.png", by_pillow(rgb.quantize(13), "PNG", bits=4), None
    yield "transparent.png", by_pillow(palette, "PNG", transparency=3), None
    yield "interlaced.png", png(BYTES[..., :3], 8, 2, interlaced=True), None
    yield "turned6.png", png(BYTES[..., :3], 8, 2, extra=chunk(b"eXIf", exif(6))), None
    wide = {"grey16": (0, WIDE[..., :1]), "grey_alpha16": (4, WIDE[..., [0, 3]]),
            "rgb16": (2, WIDE[..., :3]), "rgba16": (6, WIDE)}
    for name, (color, array) in wide.items():
        yield f"{name}.png", png(array, 16, color), to_rgb(narrow(array))
    yield "interlaced16.png", png(WIDE[..., :3], 16, 2, interlaced=True), narrow(WIDE[..., :3])

    for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd"):
        yield f"{name}.tif", by_pillow(rgb, "TIFF", compression=name), None
    tags = tiff_tags(BYTES[..., :3], 8, 2, t259=(3, [50001]))
    yield "webp.tif", tiff([by_pillow(rgb, "WEBP", lossless=True)], tags), BYTES[..., :3]
    yield "predicted.tif", by_pillow(rgb, "TIFF", compression="tiff_lzw", tiffinfo={317: 2}), None
    yield "jpeg.tif", by_pillow(rgb, "TIFF", compression="jpeg"), None
    yield "jpeg_grey.tif", by_pillow(grey, "TIFF", compression="jpeg"), None
    yield "grey.tif", by_pillow(grey, "TIFF"), None
    yield "rgba.tif", by_pillow(rgba, "TIFF"), None
    yield "grey_alpha.tif", by_pillow(grey_alpha, "TIFF"), None
    yield "palette.tif", by_pillow(palette, "TIFF"), None
    yield "cmyk.tif", by_pillow(cmyk, "TIFF"), None
    yield "cmyk_lzw.tif", by_pillow(cmyk, "TIFF", compression="tiff_lzw"), None
    yield "big.tif", by_pillow(rgb, "TIFF", big_tiff=True), None
    for name in ("group3", "group4", "tiff_ccitt"):
        yield f"{name}.tif", by_pillow(bilevel, "TIFF", compression=name), None
    pages = [rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    yield "pages.tif", by_pillow(rgb, "TIFF", save_all=True, append_images=pages), None
    for orientation in range(2, 9):
        tags = tiff_tags(BYTES[..., :3], 8, 2, t274=(3, [orientation]))
        yield f"turned{orientation}.tif", tiff(strips(BYTES[..., :3], HEIGHT), tags), None

    yield ("big_endian.tif",
           tiff(strips(BYTES[..., :3], 4), tiff_tags(BYTES[..., :3], 8, 2, rows=4), order=">"), None)
    tags = tiff_tags(BYTES[..., :3], 8, 2, t322=(3, [16]), t323=(3, [16]))
    del tags[278]
    yield "tiles.tif", tiff(tiles(BYTES[..., :3], 16), tags), None
    planes = [BYTES[..., c:c + 1].tobytes() for c in range(3)]
    yield "planes.tif", tiff(planes, tiff_tags(BYTES[..., :3], 8, 2, t284=(3, [2]))), None
    planes = [block for c in range(4) for block in tiles(BYTES[..., c:c + 1], 16)]
    tags = tiff_tags(BYTES, 8, 5, t284=(3, [2]), t322=(3, [16]), t323=(3, [16]))
    del tags[278]
    expected = numpy.asarray(cmyk.convert("RGB"))
    yield "planes_of_tiles.tif", tiff(planes, tags), expected
    yield ("white_is_zero.tif",
           tiff(strips(BYTES[..., :1], 5), tiff_tags(BYTES[..., :1], 8, 0, rows=5)), None)
    yield ("premultiplied.tif",
           tiff(strips(BYTES, 5), tiff_tags(BYTES, 8, 2, rows=5, t338=(3, [1]))), None)
    for bits in (2, 4):
        small = (WIDE[..., 0] >> (16 - bits)).astype(numpy.uint8)
        tags = tiff_tags(small[..., None], bits, 1)
        yield f"grey{bits}.tif", tiff([b"".join(pack(small, bits))], tags), None
    for name, (_, array) in wide.items():
        extra = {"t338": (3, [2])} if array.shape[-1] in (2, 4) else {}
        photometric = 1 if array.shape[-1] < 3 else 2
        for order, letter in (("<", ""), (">", "_big_endian")):
            tags = tiff_tags(array, 16, photometric, rows=6, **extra)
            yield (f"{name}{letter}.tif", tiff(strips(array, 6, order), tags, order=order),
                   to_rgb(narrow(array)))
    inks = narrow(WIDE)
    expected = numpy.asarray(Image.fromarray(inks, "CMYK").convert("RGB"))
    yield "cmyk16.tif", tiff(strips(WIDE, 17), tiff_tags(WIDE, 16, 5)), expected
    white16 = tiff_tags(WIDE[..., :1], 16, 0)
    yield ("white_is_zero16.tif", tiff(strips(WIDE[..., :1], 17), white16),
           to_rgb(255 - narrow(WIDE[..., :1])))
    depth = numpy.dstack([WIDE[..., :3], WIDE])
    tags = tiff_tags(depth, 16, 2, t338=(3, [0] * 4))
    yield "more_samples16.tif", tiff(strips(depth, 17), tags), narrow(WIDE[..., :3])

    yield "lossy.webp", by_pillow(rgb, "WEBP", quality=80), None
    yield "lossless.webp", by_pillow(rgb, "WEBP", lossless=True), None
    yield "lossy_alpha.webp", by_pillow(rgba, "WEBP", quality=80), None
    yield "lossless_alpha.webp", by_pillow(rgba, "WEBP", lossless=True, exact=True), None
    for orientation in (3, 6):
        yield (f"turned{orientation}.webp",
               by_pillow(rgb, "WEBP", lossless=True, exif=exif(orientation)), None)
    frames = [rgb.rotate(90 * i) for i in range(1, 4)]
    yield "animated.webp", by_pillow(rgb, "WEBP", lossless=True, save_all=True,
                                     append_images=frames), None
    frame = rgba.copy()  # the first frame is smaller than the canvas
    frame.paste((0, 0, 0, 0), (0, 0, WIDTH, 6))
    frame.paste((0, 0, 0, 0), (0, 0, 8, HEIGHT))
    yield "animated_part.webp", by_pillow(frame, "WEBP", lossless=True, save_all=True,
                                          append_images=[rgba]), None


def main():
    lines = []
    for name, data, expected in files():
        kind = os.path.join(FOLDER, name.rsplit(".")[1])
        os.makedirs(kind, exist_ok=True)
        with open(os.path.join(kind, name), "wb") as file:
            file.write(data)
        if expected is None:
            with Image.open(io.BytesIO(data)) as image:
                expected = numpy.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        digest = hashlib.sha256(numpy.ascontiguousarray(expected).tobytes()).hexdigest()
        lines.append(f"{name} {expected.shape[1]} {expected.shape[0]} {digest}\n")
    with open(FOLDER + ".txt", "w", encoding="ascii") as file:
        file.writelines(sorted(lines))


if __name__ == "__main__":
    main()
