"""Pictures: always encoded again, so that metadata and bytes after the picture disappear."""

from io import BytesIO
from typing import IO

from PIL import Image, ImageCms

from files.examination.findings import Findings, Unfit

MOST_PIXELS = 25_000_000
LONGEST_SIDE = 3072
THUMBNAIL_SIDE = 512
JPEG_QUALITY, THUMBNAIL_QUALITY = 90, 80
# Gemini counts a picture of any size as these tokens.
TOKENS = 1_120
FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
}
# How to make a picture upright, by its orientation in EXIF; 1 is upright.
TRANSPOSITIONS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SRGB = ImageCms.createProfile("sRGB")
# Of a decoder, for bytes that are no picture.
BROKEN = (OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, EOFError)


def examine_image(
    received: IO[bytes], *, media_type: str, content: IO[bytes], thumbnail: IO[bytes]
) -> Findings:
    """Write the picture and its thumbnail in new encodings. Raises Unfit."""
    # The header has the size, and the limit here is lower than Pillow's.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(received, formats=[FORMATS[media_type]]) as opened:
            width, height = opened.size
            if width * height > MOST_PIXELS:
                raise Unfit("too_many_pixels")
            picture = clean(opened)
        is_jpeg = media_type == "image/jpeg"
        if is_jpeg:
            picture.save(content, "JPEG", quality=JPEG_QUALITY)
        else:
            picture.save(content, "PNG")
        width, height = picture.size
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        picture.convert("RGBA" if has_alpha(picture) else "RGB").save(
            thumbnail, "WEBP", quality=THUMBNAIL_QUALITY
        )
    except BROKEN as error:
        raise Unfit("file_unreadable") from error
    written = "image/jpeg" if is_jpeg else "image/png"
    return Findings(media_type=written, tokens=TOKENS, width=width, height=height)


def clean(opened: Image.Image) -> Image.Image:
    """Return the first frame: upright, in sRGB, of limited size and without metadata."""
    profile = opened.info.get("icc_profile")
    orientation = opened.getexif().get(0x0112, 1)
    # A JPEG is decoded at a smaller scale, which takes less memory.
    opened.draft(opened.mode, (LONGEST_SIDE, LONGEST_SIDE))
    picture: Image.Image = opened
    if picture.mode in ("P", "1") or "transparency" in picture.info:
        has_transparency = "transparency" in picture.info
        picture = picture.convert("RGBA" if has_transparency else "RGB")
    elif picture.mode.startswith("I;16"):
        picture = picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    picture = to_srgb(picture, profile)
    picture = upright(picture, orientation)
    bare = Image.new(picture.mode, picture.size)
    bare.paste(picture)
    return bare


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to sRGB by the picture's profile; a broken profile is ignored."""
    mode = output_mode(picture)
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, SRGB, outputMode=mode)
        except (ImageCms.PyCMSError, *BROKEN):
            converted = None
        if converted is not None:
            return converted
    return picture if picture.mode == mode else picture.convert(mode)


def output_mode(picture: Image.Image) -> str:
    if picture.mode in ("L", "LA"):
        return picture.mode
    return "RGBA" if has_alpha(picture) else "RGB"


def has_alpha(picture: Image.Image) -> bool:
    return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La")


def upright(picture: Image.Image, orientation: object) -> Image.Image:
    """Turn and mirror a picture by the orientation of its EXIF."""
    transposition = TRANSPOSITIONS.get(orientation)
    return picture if transposition is None else picture.transpose(transposition)
