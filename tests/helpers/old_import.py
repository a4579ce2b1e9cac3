"""A finished import, byte for byte as version 0.1.0 wrote it, with its photographs and its cache entry."""

import base64
import os
import zlib
from pathlib import Path

PHOTOS = (
    "Qk1mAAAAAAAAADYAAAAoAAAABAAAAAQAAAABABgAAAAAADAAAADEDgAAxA4AAAAAAAAAAAAA"
    "TEpIUlBOWFZUXlxaNDIwOjg2QD48RkRCHBoYIiAeKCYkLiwqBAIACggGEA4MFhQS",
    "Qk1mAAAAAAAAADYAAAAoAAAABAAAAAQAAAABABgAAAAAADAAAADEDgAAxA4AAAAAAAAAAAAA"
    "mJSQpKCcsKyovLi0aGRgdHBsgHx4jIiEODQwREA8UExIXFhUCAQAFBAMIBwYLCgk",
)
"""Two BMP files of 4x4 px."""
TAR = (
    "eNoz0EvKLWCgLTAAAhMTEzANBOi0gaGJGZwNFjc0NDE2ZlAwYKADKC0uSSwCWp+UmZ6SWJKIUx0h+SEKnHzToCwzINYAYhYo"
    "ZmSQgMQeEB/hg2AY8PHyCArwiwgLiYuJMjEysLIwc7CzcXNxkpGSUFKQ01BT0dPRYmFi4OJgE+DjERMRYhgFgxQYDtb8bzKa"
    "/wdv/p8xZcKSBXM2rFmxZ8eWjJSEkoKchpqKno4WCxMDFwebAB+PmIgQDhYGEQEeBRkJHQ2V0Xw2CkbBKBgFo2AUjIJRMApG"
    "wSgYBaNgFIyCUTAKRsEoGAWjYBSMglEwCkbBKBgFo2AUjIJRQCsAANsbR9E="
)
IMPORT = """{"name": "t", "plan": "021613b3141fe0c03438d1389da37b5cfd5d2cb32c42ec89ce58272b1ed2872c", \
"settings": {"images_per_shard": 2000, "min_px": 0, "transform": "none"}}"""
INDEX = """key,source,ext,n_bytes,bytes_sha256,pixel_sha256,dhash,thumb,width,height,mode
0,0,bmp,102,\
c6d022e22dd67ecf79d217698b9c631ff85081358560580debfcddb851154bd2,\
e67f0b4d52edd279468cd3a47038323dead9f8d2cfdac7f0756be4311dfa5508,\
0000000000000000,\
00020406080a0c0e10121416181a1c1e20222426282a2c2e30323436383a\
3c3e40424446484a4c4e50525456585a5c5e,4,4,RGB
1,1,bmp,102,\
8c96dc309741060ec897ec0885b3f880a1e6a7054f68ce969ddb0d1be6c2f07d,\
2e82fb670b7ba707e1b9e1c71e0400d1ce11ea2e81b8b348d7fcfe532062a5b4,\
0000000000000000,\
0004080c1014181c2024282c3034383c4044484c5054585c6064686c7074\
787c8084888c9094989ca0a4a8acb0b4b8bc,4,4,RGB
"""
MANIFEST = r"""{
 "check": "every image decoded whole; SHA-256 of bytes and pixels recorded",
 "decoder": "libjpeg-turbo or pillow; rgb8; exif applied",
 "name": "t",
 "notes": {},
 "rejected": 0,
 "schema": 1,
 "source": {
  "images_sha256": "754a5a5dabdcf074251e95458d997cc6480f67fc8a8011c438a460020a0113f9",
  "settings": "{\"images_per_shard\": 2000, \"min_px\": 0, \"transform\": \"none\"}"
 },
 "splits": {
  "all": {
   "count": 2,
   "index": {
    "bytes": 607,
    "file": "index-all.csv",
    "sha256": "9ab785f8932392b514d37887e2c8631a0554a86557c58a0d3c8c774c35733a56"
   },
   "shards": [
    {
     "bytes": 10240,
     "count": 2,
     "file": "all-00000.tar",
     "first_key": "0",
     "last_key": "1",
     "sha256": "10c298e8358d165c0a22f2bd19c1cfe0eef6ddf161fd5589c679e29ffd590ed6"
    }
   ]
  }
 },
 "transform": "none"
}
"""
CACHE_KEY, META = "db947b2adae8c975", '{"images": 2, "key": "db947b2adae8c975"}'
PIXELS = bytes(range(0, 96, 2)) + bytes(range(0, 192, 4))
"""Decoded images of the cache entry, uint8 (2, 4, 4, 3)."""


def write_photos(folder: Path) -> Path:
    """Write the photographs with the names and times that the import remembers."""
    folder.mkdir(parents=True)
    for i, text in enumerate(PHOTOS):
        (folder / f"{i}.bmp").write_bytes(base64.b64decode(text))
        os.utime(folder / f"{i}.bmp", ns=(10**18, 10**18))
    return folder


def write_shards(folder: Path) -> Path:
    """Write the shard folder."""
    folder.mkdir(parents=True)
    (folder / "all-00000.tar").write_bytes(zlib.decompress(base64.b64decode(TAR)))
    texts = {"import.json": IMPORT, "index-all.csv": INDEX, "manifest.json": MANIFEST}
    for name, text in (texts | {"rejected.csv": "split,name,reason\n"}).items():
        (folder / name).write_text(text)
    return folder


def write_cache(folder: Path) -> Path:
    """Write the cache entry and return its folder."""
    entry = folder / CACHE_KEY
    entry.mkdir(parents=True)
    (entry / "pixels.u8").write_bytes(PIXELS)
    (entry / "meta.json").write_text(META)
    return entry
