"""Attach files on a page, by the button, by drop and by paste."""

import base64

from PIL import Image, ImageDraw
from playwright.sync_api import FilePayload, Locator, Page

from tests.support.files.corpus import encoded

BYTES = "Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))"
DRAG = f"""([name, type, content]) => {{
  const dragged = new DataTransfer();
  dragged.items.add(new File([{BYTES}], name, {{ type }}));
  return dragged;
}}"""
COPY = f"""async (content) => {{
  const blob = new Blob([{BYTES}], {{ type: "image/png" }});
  await navigator.clipboard.write([new ClipboardItem({{ "image/png": blob }})]);
}}"""
BARS = [90, 130, 120, 190, 240, 300]


def given(name: str, content: bytes, media_type: str) -> FilePayload:
    return {"name": name, "mimeType": media_type, "buffer": content}


def chart() -> bytes:
    """A PNG of 640 by 400 with a chart of bars."""
    picture = Image.new("RGB", (640, 400), "#f2f0ec")
    drawing = ImageDraw.Draw(picture)
    for index, height in enumerate(BARS):
        left = 50 + 95 * index
        drawing.rectangle((left, 360 - height, left + 60, 360), fill="#5a3fd0")
    drawing.line((30, 360, 610, 360), fill="#201d29", width=4)
    return encoded(picture, "PNG")


def pick(page: Page, *files: FilePayload) -> None:
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name="Attach files").click()
    chosen.value.set_files(list(files))


def drag(page: Page, file: FilePayload, event: str) -> None:
    """Dispatch an event of a drag over the conversation."""
    content = base64.b64encode(file["buffer"]).decode()
    dragged = page.evaluate_handle(DRAG, [file["name"], file["mimeType"], content])
    page.get_by_role("log").dispatch_event(event, {"dataTransfer": dragged})


def paste_picture(page: Page, content: bytes) -> None:
    """Paste a PNG from the clipboard into the message box."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(COPY, base64.b64encode(content).decode())
    page.get_by_label("Message to Gemini").focus()
    page.keyboard.press("Control+v")


def chip(page: Page, name: str) -> Locator:
    """A file in the list above the message box."""
    return page.locator("#chips li").filter(has_text=name)
