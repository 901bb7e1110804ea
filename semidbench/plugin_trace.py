"""Where a plugin was: tracebacks and dumps without the harness's frames around it."""

from __future__ import annotations

import traceback
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)
_MOST = 2**16  # characters of a traceback
_AROUND = ("<string>", "<frozen ", "threading.py")  # what starts a program and its threads


def plugin_traceback(error: BaseException) -> str:
    """An error's traceback from the plugin's first frame on; the harness's own last frame if there is none."""
    where = error.__traceback__
    while where and where.tb_next and _is_harness(where.tb_frame.f_code.co_filename):
        where = where.tb_next
    return shortened("".join(traceback.format_exception(type(error), error, where)))


def plugin_dump(text: str) -> str:
    """What faulthandler wrote, without threads and callers that are the harness's."""
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("Extension modules:"):
            continue
        if line.startswith(("Thread ", "Current thread ")):
            blocks.append([])
        blocks[-1].append(line)
    head, *threads = (_without_callers(block) for block in blocks)
    kept = [block for block in threads if len(block) > 1]  # more than its title
    return shortened("\n".join(line for block in (head, *kept) for line in block if line))


def shortened(text: str, most: int = _MOST) -> str:
    """The text, or its two ends where it has more than so many characters."""
    half, over = most // 2, len(text) - most
    return text if over <= 0 else f"{text[:half]}\n[... {over:,} characters left out ...]\n{text[-half:]}"


def _without_callers(block: list[str]) -> list[str]:
    """Dumps go from the innermost frame outwards."""
    frames = [line.strip() for line in block]
    end = len(block)
    while end > 1 and (not frames[end - 1] or _is_around(frames[end - 1])):
        end -= 1
    return block[:end]


def _is_around(line: str) -> bool:
    file = line.removeprefix('File "').partition('"')[0] if line.startswith('File "') else ""
    return bool(file) and (_is_harness(file) or file.startswith(_AROUND) or file.endswith(_AROUND))


def _is_harness(file: str) -> bool:
    return file.startswith(f"{_PACKAGE}/")
