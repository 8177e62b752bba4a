"""Takes the pictures of deploy/pictures: `deploy/test pictures` runs it."""

import pathlib
import subprocess
import sys

from browser import Browser
from test_page import REFUSAL
from world import World, wait

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "pictures"
# Larger ones would make a clone slow for what they show.
LONGEST = 100_000


def take(browser, url, name, lang, theme, width, height):
    browser.size(width, height)
    browser.theme(theme)
    browser.open(f"{url}/?lang={lang}")
    path = FOLDER / f"{name}.png"
    browser.picture(path, height)
    subprocess.run(["pngquant", "--force", "--strip", "--speed", "1", "--quality", "60-90",
                    "--output", path, "--", path], check=True)
    size = path.stat().st_size
    print(f"{path.name} {size} bytes")
    if size > LONGEST:
        sys.exit(f"{path.name} has more than {LONGEST} bytes")


def main():
    FOLDER.mkdir(exist_ok=True)
    with World(12) as world, Browser() as browser:
        world.fault("live", **REFUSAL)
        world.replica("sidecar-a")
        world.until("sidecar-a", "the refusal is told", lambda status: any(
            one["id"] == "refresh_failing" for one in status["conditions"]))
        url = world.replica("sidecar-b")
        # It knows by then what the leader said, and nothing of the start is left.
        world.until("sidecar-b", "the leader's word", lambda status: status["fleet"] and {
            one["id"] for one in status["conditions"]} == {"no_token", "refresh_failing"})
        take(browser, url, "failing", "en", "light", 1280, 860)
        take(browser, url, "failing-phone", "zh", "dark", 390, 844)
        world.heal()
        # What was refused is asked again after minutes; a daemon that starts asks at once.
        world.kill("sidecar-a")
        world.kill("sidecar-b")
        world.redis("flushall")
        world.replica("sidecar-a")
        world.all_well("sidecar-a")
        url = world.replica("sidecar-b")
        wait("both are seen", lambda: len(world.status("sidecar-b")["fleet"]) == 1)
        world.all_well("sidecar-b")
        take(browser, url, "healthy", "en", "dark", 1280, 860)
        take(browser, url, "healthy-phone", "zh", "light", 390, 844)


if __name__ == "__main__":
    main()
