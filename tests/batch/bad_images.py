"""Two hundred images that nobody should have to explain, and some that look like it."""

import os
import struct
import zlib

import cv2
import numpy as np

SIDE = 50000


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(
        ">I", zlib.crc32(kind + data) & 0xFFFFFFFF)


def png(width, height, rows, depth=8, colour=0):
    """A PNG that declares a size, and holds what it holds."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
            + png_chunk(b"IDAT", zlib.compress(rows, 1)) + png_chunk(b"IEND", b""))


def jpeg_declaring(data, width, height):
    """A JPEG with other numbers in its frame header."""
    place = next(data.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in data)
    return data[:place + 5] + struct.pack(">HH", height, width) + data[place + 9:]


def with_exif(data, orientation):
    """A JPEG with an EXIF block that says how the camera was held."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(
        ">HH", orientation, 0) + b"\0\0\0\0"
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def tiff(width, height):
    """A grey TIFF that declares a size and holds ten bytes."""
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1),
               (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height),
               (279, 4, 1, width * height & 0xFFFFFFFF)]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x12\0\0\0" + bytes(10) + struct.pack("<H", len(entries)) + body + bytes(4)


def bmp(width, height):
    return (b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(46))


def gif(width, height):
    frame = b"\x2c\0\0\0\0" + struct.pack("<HH", width, height) + b"\0\x02\x02\x44\x01\0"
    return (b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0\0\0\0\xff\xff\xff"
            + frame + frame + b"\x3b")


def bombs():
    """Name -> a file that declares an immense picture."""
    small = encoded(".jpg", (16, 16))
    return {
        "bomb-grey.png": png(SIDE, SIDE, bytes(100)),
        "bomb-colour.png": png(SIDE, SIDE, bytes(10 ** 7), colour=2),
        "bomb-16-bit.png": png(SIDE, SIDE, bytes(100), depth=16, colour=6),
        "bomb-long.png": png(2 ** 31 - 1, 1, bytes(100)),
        "bomb-high.png": png(1, 2 ** 31 - 1, bytes(100)),
        "bomb-true.png": png(9000, 9000, bytes(9001 * 9000)),
        "bomb.jpg": jpeg_declaring(small, SIDE, SIDE),
        "bomb-largest.jpg": jpeg_declaring(small, 65500, 65500),
        "bomb-progressive.jpg": jpeg_declaring(
            encoded(".jpg", (16, 16), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), SIDE, SIDE),
        "bomb-scans.jpg": many_scans(),
        "bomb.tif": tiff(SIDE, SIDE), "bomb.bmp": bmp(SIDE, SIDE), "bomb.gif": gif(SIDE, SIDE),
        "bomb.ppm": b"P6 50000 50000 255\n" + bytes(100),
        "bomb.pgm": b"P5\n# a note\n50000 50000\n65535\n" + bytes(100),
        "bomb.pbm": b"P4 500000 50000\n" + bytes(100),
        "bomb.hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 50000 +X 50000\n" + bytes(100),
        "bomb.ras": struct.pack(">8I", 0x59A66A95, SIDE, SIDE, 24, 0, 1, 0, 0) + bytes(100),
        "bomb.pam": b"P7\nWIDTH 50000\nHEIGHT 50000\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n",
    }


def many_scans():
    """A progressive JPEG whose last scan comes a thousand times more."""
    data = cv2.imencode(".jpg", np.full((2000, 2000, 3), 99, np.uint8),
                        [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 1000 + data[-2:]


def encoded(extension, size=(24, 32), parameters=()):
    rng = np.random.RandomState(size[0])
    noise = rng.randint(0, 256, (max(1, size[0] // 8), max(1, size[1] // 8), 3)).astype(np.uint8)
    picture = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.imencode(extension, picture, list(parameters))[1].tobytes()


def readable():
    """Name -> a file that is strange, but an image."""
    jpeg, picture = encoded(".jpg"), encoded(".png")
    files = {f"exif-{one}.jpg": with_exif(jpeg, one) for one in range(10)}
    files.update({
        "jpeg-called.png": jpeg, "png-called.jpg": picture, "no-extension": jpeg,
        "jpeg-called.txt": jpeg, "behind-the-end.jpg": jpeg + bytes(100),
        "one-pixel.png": encoded(".png", (1, 1)), "one-pixel.jpg": encoded(".jpg", (1, 1)),
        "one-row.png": encoded(".png", (1, 3000)), "one-column.png": encoded(".png", (3000, 1)),
        "large.jpg": encoded(".jpg", (5000, 5000)),
        "large-grey.png": png(6000, 6000, bytes(6001 * 6000)),
        "deep.png": png(3, 2, (b"\0" + bytes(18)) * 2, depth=16, colour=2),
        "alpha.png": png(3, 2, (b"\0" + bytes(12)) * 2, colour=6),
        "progressive.jpg": encoded(".jpg", parameters=[cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    })
    return files


def unreadable():
    """Name -> a file that is no image, or not all of one."""
    files = bombs()
    for extension in (".jpg", ".png", ".bmp", ".tif", ".webp", ".gif", ".ppm", ".jp2"):
        files["empty" + extension] = b""
    for extension in (".jpg", ".png"):
        whole = encoded(extension, (64, 64))
        for index in range(50):
            cut = 1 + index * (len(whole) - 2) // 50
            files[f"cut-{index:02d}{extension}"] = whole[:cut]
    files["cut.bmp"] = encoded(".bmp")[:40]
    rng = np.random.RandomState(8)
    for index in range(40):
        files[f"noise-{index:02d}.jpg"] = rng.bytes(10 * index + 1)
    for index, start in enumerate((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM",
                                   b"II*\0", b"RIFF\0\0\0\0WEBP", b"P6 ", b"\0\0\1\0")):
        files[f"begun-{index}.jpg"] = start + rng.bytes(200)
    files.update({
        "text.jpg": b"This is no image.\n" * 10, "page.jpg": b"<!DOCTYPE html><html></html>",
        "utf16.png": "no image".encode("utf-16"), "zip.jpg": b"PK\x03\x04" + bytes(100),
        "zeros.png": bytes(5000), "drawing.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "no-rows.png": png(16, 0, b""), "no-data.png": png(16, 16, b""),
    })
    return files


def write(folder):
    """Write all of them, and what is no file; gives what becomes of each name."""
    folder.mkdir()
    expected = {}
    for status, files in (("ok", readable()), ("unreadable", unreadable())):
        for name, data in files.items():
            (folder / name).write_bytes(data)
            expected[name] = status
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    os.mkfifo(str(folder / "pipe.jpg"))
    expected.update({"dangling.jpg": "unreadable", "loop.jpg": "unreadable",
                     "pipe.jpg": "unreadable"})
    strange = os.fsencode(str(folder)) + b"/\xe9t\xe9-\xff\n.jpg"
    with open(strange, "wb") as file:
        file.write(encoded(".jpg"))
    expected["\\xe9t\\xe9-\\xff\n.jpg"] = "ok"
    return expected
