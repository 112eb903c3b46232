"""The pixels of any picture as eight bits of red, green and blue, in the colours of the web."""

from __future__ import annotations

import contextlib
import io

from PIL import Image, ImageCms


def web_colours(image: Image.Image) -> Image.Image:
    """RGB, or RGBA where something is transparent. A profile that cannot be read is none."""
    if image.mode.startswith("I") or image.mode == "F":
        # Sixteen bits of grey: Pillow would cut off instead of scaling.
        return image.convert("F").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    profile = image.info.get("icc_profile")
    if profile and image.mode in {"RGB", "RGBA", "CMYK"}:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            to = "RGBA" if image.mode == "RGBA" else "RGB"
            web = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, web, outputMode=to)
            if converted is not None:
                return converted
    return image.convert("RGBA" if image.has_transparency_data else "RGB")
