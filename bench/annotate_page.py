#!/usr/bin/env python3
"""How long a person waits in `boxprompt annotate`: a real browser (Debian's chromium, chromium-driver, python3-selenium) draws
one box on each of the first images of a folder and measures, in the page, from the release of the mouse to the mask.

  annotate_page.py FOLDER --weights mobile_sam.pt [--images 20] [--think 3]

The folder is not written to. Prints one JSON object: seconds from the command to the first box that is saved, milliseconds
per mask, and how many masks came for an embedding that was ready when the box was drawn.
"""
import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Times run in the page: what the driver takes to ask does not count.
WATCH = """
window.trial = {};
addEventListener('pointerup', () => {
  const begin = performance.now(), {editor, teacher} = boxprompt, image = editor.image.id;
  const look = () => {
    const box = editor.boxes[0], known = box && teacher.mask(image, box);
    if (known && !known.stale) trial.mask = performance.now() - begin;
    else requestAnimationFrame(look);
  };
  look();
}, true);
"""


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise SystemExit("waited in vain")


def main():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("folder", type=pathlib.Path)
    o.add_argument("--weights", required=True)
    o.add_argument("--images", type=int, default=20)
    o.add_argument("--think", type=float, default=3, help="seconds that the person looks at an image before drawing")
    o.add_argument("--program", default=ROOT / "build/release/bin/boxprompt")
    given = o.parse_args()

    with tempfile.TemporaryDirectory() as made:
        chrome = webdriver.ChromeOptions()
        chrome.binary_location = shutil.which("chromium")
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                         "--window-size=1280,720"):
            chrome.add_argument(argument)
        browser = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=chrome)
        begin = time.monotonic()
        server = subprocess.Popen([given.program, "annotate", given.folder, "--weights", given.weights, "--cache", f"{made}/cache",
                                   "-o", f"{made}/annotations.json"], stdout=subprocess.PIPE, text=True)
        try:
            url = next(m[0] for line in server.stdout if (m := re.search(r"http://\S+/", line)))
            browser.get(url)
            js = browser.execute_script
            wait(lambda: js("return !!window.boxprompt?.view?.picture"))
            js(WATCH)

            def draw():
                js("trial.mask = null")
                (x0, y0), (x1, y1) = js(
                    "const {view, editor} = boxprompt, {width, height} = editor.image;"
                    "const {left, top} = document.getElementById('stage').getBoundingClientRect();"
                    "return [[0.3, 0.3], [0.7, 0.7]].map(([x, y]) => view.toStage(x * width, y * height))"
                    ".map(([x, y]) => [Math.round(x + left), Math.round(y + top)]);")
                chain = ActionChains(browser, duration=20)
                pointer = chain.w3c_actions.pointer_action
                pointer.move_to_location(x0, y0).pointer_down().move_to_location(x1, y1).pointer_up()
                chain.perform()

            draw()
            wait(lambda: js("return boxprompt.store.unsaved === 0 && !boxprompt.store.saving && boxprompt.editor.boxes.length"))
            first_box = time.monotonic() - begin
            wait(lambda: js("return trial.mask"))
            first_mask = time.monotonic() - begin
            times, late = [], 0
            for _ in range(1, given.images):
                before = js("return boxprompt.editor.image.id")
                ActionChains(browser, duration=20).send_keys("n").perform()
                wait(lambda: js("return boxprompt.editor.image && boxprompt.editor.image.id !== arguments[0] "
                                "&& !!boxprompt.view.picture", before))
                time.sleep(given.think)
                image = js("return boxprompt.editor.image.id")
                ready = js("return fetch(`api/images/${arguments[0]}/embedding`).then((r) => r.json())", image)
                draw()
                milliseconds = wait(lambda: js("return trial.mask"))
                times.append(milliseconds)
                late += ready.get("state") != "ready"
            print(json.dumps({"seconds to the first box": round(first_box, 2), "to the first mask": round(first_mask, 2),
                              "masks": len(times), "embedding not ready": late, "median ms": round(statistics.median(times)),
                              "largest ms": round(max(times)), "over 150 ms": sum(t > 150 for t in times),
                              "each": [round(t) for t in times]}))
        finally:
            server.terminate()
            server.wait()
            browser.quit()


if __name__ == "__main__":
    main()
