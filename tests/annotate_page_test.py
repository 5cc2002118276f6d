"""The page of `boxprompt annotate` in a real browser: Debian's chromium, headless, driven by selenium.

    annotate_page_test.py --mock [--screenshot FILE.png]
    annotate_page_test.py --server "build/release/bin/boxprompt annotate {folder}"

Exits with 77 where chromium or selenium are missing. With a server started without weights, what needs masks is skipped.
"""

import argparse
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

try:
    from selenium import webdriver
    from selenium.common.exceptions import JavascriptException
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    print("skipped: no selenium (python3-selenium)")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
SAMPLES = HERE.parent / "apps/samples"
ASTRONAUT, CHELSEA, COFFEE, ROCKET = "astronaut.png", "chelsea.png", "coffee_600x400.png", "rocket.jpg"
options = None


def wait(what, condition, seconds=None):
    """Until the condition holds; what it returned."""
    end = time.monotonic() + (seconds or options.patience)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(0.05)


def fewer_colors(path, limit=380_000):
    """A photograph makes a large PNG: drops as many of the lowest bits as needed. Left as it is without python3-pil."""
    try:
        from PIL import Image
    except ImportError:
        return
    picture = Image.open(path).convert("RGB")
    for step in (1, 2, 4, 8, 16):
        picture.point([min(255, round(value / step) * step) for value in range(256)] * 3).save(path, optimize=True)
        if path.stat().st_size < limit:
            return


class Server:
    """The server under test on a copy of the sample photographs."""

    def __init__(self, *arguments):
        self.temporary = tempfile.mkdtemp(prefix="annotate_page_")
        self.folder = pathlib.Path(self.temporary) / "photos"
        self.folder.mkdir()
        for name in (ASTRONAUT, CHELSEA, COFFEE, ROCKET):
            shutil.copy(SAMPLES / name, self.folder)
        mock = f"{shlex.quote(sys.executable)} {shlex.quote(str(HERE / 'annotate_page_mock.py'))} {{folder}}"
        command = shlex.split((options.server or mock).replace("{folder}", shlex.quote(str(self.folder)))) + list(arguments)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            found = re.search(r"http://\S+/", line)
            if found:
                self.url = found[0]
                break
        else:
            raise RuntimeError("the server printed no address")
        project = self.ask("api/project")
        self.teacher = project["teacher"]
        self.ids = {image["name"]: image["id"] for image in project["images"]}

    def ask(self, path, method="GET", body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def stored(self, name):
        return self.ask(f"api/images/{self.ids[name]}")

    def store(self, name, boxes=(), authentic=False, seconds=0):
        full = [{"box": box, "points": [], "choice": None, "mask": None, "iou": None} for box in boxes]
        body = {"authentic": authentic, "seconds": seconds, "boxes": full}
        while True:
            try:
                return self.ask(f"api/images/{self.ids[name]}", "PUT", {"version": self.stored(name)["version"], **body})
            except urllib.error.HTTPError as error:
                if error.code != 409:  # a page that was just left may still save the time spent on it
                    raise

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.temporary)


def start_browser():
    chrome = webdriver.ChromeOptions()
    chrome.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        chrome.add_argument(argument)
    chrome.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=chrome)


class PageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.browser = start_browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.server.close()

    def setUp(self):
        self.browser.get("about:blank")
        self.screen(1280, 720)
        self.browser.get_log("browser")

    def tearDown(self):
        first, *others = self.browser.window_handles
        for other in others:
            self.browser.switch_to.window(other)
            self.browser.close()
        self.browser.switch_to.window(first)

    # -- the page --

    def screen(self, width, height, ratio=1, touch=False, scheme="light"):
        cdp = self.browser.execute_cdp_cmd
        cdp("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": touch})
        cdp("Emulation.setTouchEmulationEnabled", {"enabled": touch, "maxTouchPoints": 2})
        cdp("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def open(self, name, boxes=None, authentic=False):
        """Opens an image; where boxes are given it has these and no others."""
        if boxes is not None:
            self.server.store(name, boxes, authentic)
        self.browser.get("about:blank")
        self.browser.get(f"{self.server.url}#{name}")
        self.opened(name)

    def opened(self, name):
        wait(f"{name} is open", lambda: self.js("return window.boxprompt?.editor.image?.name") == name)
        wait("its picture", lambda: self.js("return !!boxprompt.view.picture"))

    def js(self, script, *arguments):
        try:
            return self.browser.execute_script(script, *arguments)
        except JavascriptException as error:
            if "Cannot read properties of null" in str(error):  # between two images
                return None
            raise

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def boxes(self):
        return self.js("return boxprompt.editor.boxes.map(({box}) => box)")

    def labels(self):
        return [box.get_attribute("aria-label") for box in self.all("#stage .box")]

    def said(self):
        return self.find("#live").get_attribute("textContent")

    def saved(self):
        return self.find("#saved").text == "Saved" and self.js("return boxprompt.store.unsaved === 0 && !boxprompt.store.saving")

    def drawn(self):
        """Until the page has drawn what was done to it."""
        self.browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")

    def place(self, x, y):
        """Where a point of the image is in the window."""
        return self.js(
            "const [x, y] = boxprompt.view.toStage(arguments[0], arguments[1]);"
            "const {left, top} = document.getElementById('stage').getBoundingClientRect();"
            "return [Math.round(x + left), Math.round(y + top)];", x, y)

    def drag(self, start, end, button=0, hold=True):
        (x0, y0), (x1, y1) = self.place(*start), self.place(*end)
        chain = ActionChains(self.browser, duration=20)
        pointer = chain.w3c_actions.pointer_action
        pointer.move_to_location(x0, y0).pointer_down(button=button)
        pointer.move_to_location((x0 + x1) // 2, (y0 + y1) // 2).move_to_location(x1, y1)
        if hold:
            pointer.pointer_up(button=button)
        chain.perform()
        self.drawn()

    def click(self, at, key=None):
        chain = ActionChains(self.browser, duration=20)
        if key:
            chain.key_down(key)
            chain.perform()
        chain = ActionChains(self.browser, duration=20)
        chain.w3c_actions.pointer_action.move_to_location(*self.place(*at)).pointer_down().pointer_up()
        chain.perform()
        if key:
            ActionChains(self.browser).key_up(key).perform()
        self.drawn()

    def keys(self, *keys, held=()):
        chain = ActionChains(self.browser, duration=20)
        for key in held:
            chain.key_down(key)
        for key in keys:
            chain.send_keys(key)
        for key in reversed(held):
            chain.key_up(key)
        chain.perform()
        self.drawn()

    def near(self, box, expected, slack=2):
        for value, wanted in zip(box, expected):
            self.assertAlmostEqual(value, wanted, delta=slack, msg=f"{box} for {expected}")

    def needs_masks(self):
        if not self.server.teacher:
            self.skipTest("no teacher")

    def mask(self, i=0):
        return self.js(
            "const known = boxprompt.teacher.mask(boxprompt.editor.image.id, boxprompt.editor.boxes[arguments[0]]);"
            "return known && !known.stale ? {iou: known.iou, area: known.mask.counts.filter((_, i) => i % 2).reduce((a, b) => a + b, 0)} : null;", i)

    def wait_mask(self, i=0):
        return wait("a mask", lambda: self.mask(i), options.teacher_patience)

    def pixel(self, x, y):
        """Of the canvas, at a point of the image."""
        return self.js(
            "const canvas = document.querySelector('#stage canvas');"
            "const at = boxprompt.view.toStage(arguments[0], arguments[1]).map((v) => Math.round(v * devicePixelRatio));"
            "return [...canvas.getContext('2d').getImageData(...at, 1, 1).data];", x, y)

    def settled_pixel(self, x, y):
        """Once the picture has come, which a blurred thumbnail stands for until then."""
        wait("the picture", lambda: self.js(
            "return performance.getEntriesByType('resource').some((r) => r.name.includes('/picture'));"))

        def steady():
            first = self.pixel(x, y)
            time.sleep(0.5)
            return first if first == self.pixel(x, y) else None

        return wait("a steady picture", steady)

    def no_errors(self):
        severe = [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]
        # What the page is told by these answers it deals with; the browser logs them all the same.
        self.assertEqual([], [text for text in severe if not re.search(r"409|503|ERR_INTERNET_DISCONNECTED", text)])

    # -- by mouse --

    def test_draw(self):
        self.open(COFFEE, [])
        self.drag((165, 10), (418, 315))
        self.assertEqual(1, len(self.boxes()))
        self.near(self.boxes()[0], [165, 10, 418, 315])
        self.drag((450, 380), (440, 330))  # upwards and to the left
        self.near(self.boxes()[1], [440, 330, 450, 380])
        wait("saved", self.saved)
        stored = self.server.stored(COFFEE)
        self.assertEqual(self.boxes(), [box["box"] for box in stored["boxes"]])
        colors = self.js("return boxprompt.editor.boxes.map(({color}) => color)")
        self.assertEqual(2, len(set(colors)))
        self.no_errors()

    def test_draw_is_clipped_and_slips_are_ignored(self):
        self.open(COFFEE, [])
        self.drag((500, 300), (603, 404))
        self.near(self.boxes()[0], [500, 300, 600, 400])
        self.drag((100, 100), (101, 102))
        self.assertEqual(1, len(self.boxes()))

    def test_escape_cancels_a_drag(self):
        self.open(COFFEE, [])
        self.drag((100, 100), (300, 300), hold=False)
        self.assertTrue(self.find(".draft").is_displayed())
        self.keys(Keys.ESCAPE)
        chain = ActionChains(self.browser)
        chain.w3c_actions.pointer_action.pointer_up()
        chain.perform()
        self.assertEqual([], self.boxes())

    def test_resize_and_move(self):
        self.open(COFFEE, [[100, 100, 300, 250]])
        self.click((200, 150))
        self.drag((300, 250), (350, 300))
        self.near(self.boxes()[0], [100, 100, 350, 300])
        self.drag((100, 200), (60, 220))  # the left edge follows in x alone
        self.near(self.boxes()[0], [60, 100, 350, 300])
        self.drag((200, 200), (230, 210))
        self.near(self.boxes()[0], [90, 110, 380, 310])
        self.drag((380, 200), (40, 200))  # an edge beyond the other one
        self.near(self.boxes()[0], [40, 110, 90, 310])
        wait("saved", self.saved)
        self.assertEqual(self.boxes(), [box["box"] for box in self.server.stored(COFFEE)["boxes"]])

    def test_undo_and_redo(self):
        self.open(COFFEE, [])
        self.drag((100, 100), (300, 250))
        self.drag((400, 100), (500, 250))
        self.keys(Keys.DELETE)
        before = self.boxes()
        self.assertEqual(1, len(before))
        self.keys("z", held=[Keys.CONTROL])
        self.assertEqual(2, len(self.boxes()))
        self.keys("zz", held=[Keys.CONTROL])
        self.assertEqual([], self.boxes())
        self.keys("z", held=[Keys.CONTROL, Keys.SHIFT])
        self.keys("y", held=[Keys.CONTROL])
        self.assertEqual(2, len(self.boxes()))
        self.find(".tools [data-do=undo]").click()
        self.assertEqual(1, len(self.boxes()))
        wait("saved", self.saved)
        self.assertEqual(1, len(self.server.stored(COFFEE)["boxes"]))

    def test_zoom_and_pan(self):
        self.open(COFFEE, [])
        fitted = self.js("return boxprompt.view.scale")
        x, y = self.place(150, 120)
        self.js("document.querySelector('#stage canvas').dispatchEvent(new WheelEvent('wheel', {deltaY: -600, clientX: arguments[0],"
                "clientY: arguments[1], bubbles: true, cancelable: true}))", x, y)
        self.assertGreater(self.js("return boxprompt.view.scale"), 1.5 * fitted)
        self.near(self.place(150, 120), [x, y])
        self.drag((150, 120), (170, 130), button=1)
        self.near(self.place(150, 120), [x + 20 * self.js("return boxprompt.view.scale"), y + 10 * self.js("return boxprompt.view.scale")], 4)
        self.assertEqual([], self.boxes())
        self.keys("0")
        self.assertAlmostEqual(fitted, self.js("return boxprompt.view.scale"))

    def test_space_pans(self):
        self.open(COFFEE, [])
        x, y = self.place(150, 120)
        ActionChains(self.browser).key_down(Keys.SPACE).perform()
        self.drag((150, 120), (200, 150))
        ActionChains(self.browser).key_up(Keys.SPACE).perform()
        scale = self.js("return boxprompt.view.scale")
        self.near(self.place(150, 120), [x + 50 * scale, y + 30 * scale], 3)
        self.drag((150, 120), (200, 150))
        self.assertEqual(1, len(self.boxes()))

    # -- masks --

    def test_mask_appears(self):
        self.needs_masks()
        self.open(COFFEE, [])
        before = self.settled_pixel(290, 160)
        self.drag((165, 10), (418, 315))
        known = self.wait_mask()
        wait("the IoU on the box", lambda: "predicted IoU" in self.labels()[0])
        self.assertIn(f"{known['iou']:.2f}", self.labels()[0])
        if not options.server:
            wait("the mask on the canvas", lambda: self.pixel(290, 160) != before)
            overlay = self.pixel(290, 160)
            self.keys("v")  # the mask alone
            wait("another look", lambda: self.pixel(290, 160) != overlay)
            self.assertEqual([0x2B, 0xB8, 0xFF], self.pixel(290, 160)[:3])
            self.keys("v")  # the outline alone
            # A sharper version of the picture may have come since, so alike and not the same.
            wait("the picture inside the outline",
                 lambda: max(abs(a - b) for a, b in zip(self.pixel(290, 160), before)) < 24)
        self.no_errors()

    def test_masks_are_cycled(self):
        self.needs_masks()
        self.open(COFFEE, [])
        self.drag((165, 10), (418, 315))
        single = self.wait_mask()
        self.keys("m")
        self.assertEqual("true", self.find("#choices [value='0']").get_attribute("aria-pressed"))
        first = self.wait_mask()
        self.assertNotEqual(single, first)
        self.keys("mmm")
        self.assertEqual(single, self.wait_mask())
        self.find("#choices [value='2']").click()
        wait("saved", self.saved)
        self.assertEqual(2, self.server.stored(COFFEE)["boxes"][0]["choice"])

    def test_points(self):
        self.needs_masks()
        self.open(COFFEE, [])
        self.drag((165, 10), (418, 315))
        plain = self.wait_mask()
        self.click((290, 100), Keys.ALT)
        self.assertEqual(1, len(self.all(".dot.minus")))
        bitten = wait("another mask", lambda: self.mask() if self.mask() != plain else None)
        if not options.server:
            self.assertLess(bitten["area"], plain["area"])
        self.click((300, 200), Keys.SHIFT)
        self.assertEqual(1, len(self.all(".dot.plus")))
        wait("saved", self.saved)
        points = self.server.stored(COFFEE)["boxes"][0]["points"]
        self.assertEqual([False, True], [point["positive"] for point in points])
        self.near([points[0]["x"], points[0]["y"]], [290, 100])
        self.click((300, 200))  # a click takes the point away
        self.assertEqual(0, len(self.all(".dot.plus")))
        self.keys("zzz", held=[Keys.CONTROL])
        self.assertEqual(0, len(self.all(".dot.minus")))
        self.assertEqual(plain, self.mask())  # at once: it was not forgotten
        self.assertEqual(1, len(self.boxes()))

    def with_another_stand_in(self, *arguments):
        if options.server:
            self.skipTest("only the stand-in does this on request")
        usual, self.server = self.server, Server(*arguments)
        self.addCleanup(lambda server: (server.close(), setattr(self, "server", usual)), self.server)

    def test_the_mask_comes_once_the_embedding_is_ready(self):
        self.with_another_stand_in("--slow", "4")
        self.open(COFFEE, [])
        self.drag((165, 10), (418, 315))
        self.assertIn("looking", self.find("#teacher").text)
        self.assertIsNone(self.mask())
        self.wait_mask()
        self.assertEqual("Teacher ready", self.find("#teacher").text)

    def test_boxes_only(self):
        self.with_another_stand_in("--boxes-only")
        self.open(COFFEE, [])
        self.drag((165, 10), (418, 315))
        self.assertEqual("Boxes only", self.find("#teacher").text)
        self.assertFalse(self.find("#choices").is_displayed())
        self.keys("m")
        self.assertIn("Without a teacher", self.find("#note").text)
        wait("saved", self.saved)
        self.no_errors()

    # -- saving --

    def test_a_server_in_trouble(self):
        self.with_another_stand_in()
        self.open(ROCKET, [])
        self.server.ask("test/down", "POST", {"down": True})
        self.drag((300, 118), (346, 412))
        wait("the state", lambda: "Offline" in self.find("#saved").text)
        self.server.ask("test/down", "POST", {"down": False})
        wait("saved", self.saved)
        self.assertEqual(1, len(self.server.stored(ROCKET)["boxes"]))

    def test_reload_keeps(self):
        self.open(CHELSEA, [])
        self.drag((125, 75), (218, 155))
        self.drag((285, 100), (350, 172))
        drawn = self.boxes()
        wait("saved", self.saved)
        self.browser.refresh()
        self.opened(CHELSEA)
        wait("the same boxes", lambda: self.boxes() == drawn)
        if self.server.teacher:
            self.wait_mask(1)

    def test_another_window_is_followed(self):
        self.open(ROCKET, [])
        first = self.browser.current_window_handle
        self.browser.switch_to.new_window("tab")
        self.screen(1280, 720)
        self.open(ROCKET)
        self.drag((300, 118), (346, 412))
        wait("saved", self.saved)
        self.browser.switch_to.window(first)
        wait("the other window's box", lambda: len(self.boxes()) == 1)
        self.server.store(ROCKET, [[10, 10, 60, 60], [400, 50, 600, 250]])  # while this one is in sight
        wait("what came by event", lambda: len(self.boxes()) == 2)

    def test_conflict(self):
        self.open(ROCKET, [])
        self.js("boxprompt.store.refresh = async () => {};")  # deaf, so that the versions part
        self.server.store(ROCKET, [[300, 118, 346, 412], [10, 10, 60, 60]])
        self.drag((400, 50), (600, 250))
        wait("what was stored", lambda: len(self.boxes()) == 2)
        self.assertEqual([300, 118, 346, 412], self.boxes()[0])
        self.assertIn("Another window changed", self.find("#note").text)
        self.assertEqual(2, len(self.server.stored(ROCKET)["boxes"]))
        self.find("#note button").click()
        self.assertEqual(1, len(self.boxes()))
        self.near(self.boxes()[0], [400, 50, 600, 250])
        wait("saved", self.saved)
        self.assertEqual(self.boxes(), [box["box"] for box in self.server.stored(ROCKET)["boxes"]])
        self.keys("z", held=[Keys.CONTROL])
        self.assertEqual(2, len(self.boxes()))
        self.keys("z", held=[Keys.CONTROL])
        self.assertEqual(1, len(self.boxes()))
        wait("saved", self.saved)
        self.no_errors()

    def offline(self, offline):
        self.browser.execute_cdp_cmd("Network.enable", {})
        self.browser.execute_cdp_cmd("Network.emulateNetworkConditions",
                                     {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})

    def test_offline_changes_are_sent_later(self):
        self.open(ROCKET, [])
        self.offline(True)
        self.drag((300, 118), (346, 412))
        wait("the state", lambda: "Offline" in self.find("#saved").text)
        self.drag((10, 118), (60, 300))
        self.assertEqual([], self.server.stored(ROCKET)["boxes"])
        self.offline(False)
        wait("saved", self.saved)
        self.assertEqual(2, len(self.server.stored(ROCKET)["boxes"]))

    def test_a_closed_page_loses_nothing(self):
        self.open(ROCKET, [])
        self.js("window.fetch = async () => { throw new TypeError('nobody there'); };")
        self.drag((300, 118), (346, 412))
        wait("the state", lambda: "Offline" in self.find("#saved").text)
        self.open(COFFEE)  # another image: the one left behind is sent all the same
        wait("sent", lambda: len(self.server.stored(ROCKET)["boxes"]) == 1)

    # -- images --

    def test_between_images(self):
        self.open(CHELSEA, [[125, 75, 218, 155]])
        self.keys("n")
        self.opened(COFFEE)
        self.keys("pp")
        self.opened(ASTRONAUT)
        self.keys("p")
        self.assertIn("first image", self.said())
        thumbs = self.all(".thumb")
        self.assertEqual(4, len(thumbs))
        self.assertEqual("true", thumbs[0].get_attribute("aria-current"))
        self.assertIn("1 box", thumbs[1].get_attribute("aria-label"))
        wait("thumbnails", lambda: self.js("return [...document.querySelectorAll('.thumb img')].every((image) => image.naturalWidth > 0)"))
        thumbs[1].click()
        self.opened(CHELSEA)
        self.assertEqual([[125, 75, 218, 155]], self.boxes())

    def test_authentic(self):
        self.open(ASTRONAUT, [[270, 335, 512, 512]])
        self.keys("a")
        self.assertEqual([], self.boxes())
        self.assertEqual("true", self.find(".wide").get_attribute("aria-pressed"))
        wait("saved", self.saved)
        self.assertTrue(self.server.stored(ASTRONAUT)["authentic"])
        self.assertIn("authentic", self.find(".thumb.current").get_attribute("aria-label"))
        self.keys("z", held=[Keys.CONTROL])
        self.assertEqual(1, len(self.boxes()))
        self.keys("a")
        self.drag((100, 100), (200, 200))  # a box says that it is not
        wait("saved", self.saved)
        self.assertFalse(self.server.stored(ASTRONAUT)["authentic"])

    def test_progress_and_time(self):
        for name in (ASTRONAUT, CHELSEA, COFFEE, ROCKET):
            self.server.store(name)
        self.open(COFFEE)
        self.assertEqual("4", self.find("#left").text)
        self.drag((165, 10), (418, 315))
        wait("images left", lambda: self.find("#left").text == "3")
        wait("seconds", lambda: re.fullmatch(r"[1-9]\d* s", self.find("#here").text))
        self.keys("n")
        self.opened(ROCKET)
        wait("the time is kept", lambda: self.server.stored(COFFEE)["seconds"] > 0)

    # -- by keyboard alone, by touch --

    def test_keyboard_only(self):
        self.open(COFFEE, [])
        self.keys("b")
        x0, y0, x1, y1 = self.boxes()[0]
        self.near([(x0 + x1) / 2, (y0 + y1) / 2], [300, 200])
        self.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
        self.keys(Keys.ARROW_LEFT, held=[Keys.SHIFT])
        self.assertEqual([x0 - 8, y0 + 1, x1 - 8, y1 + 1], self.boxes()[0])
        self.keys(Keys.ARROW_RIGHT, held=[Keys.CONTROL])
        self.keys(Keys.ARROW_UP, held=[Keys.CONTROL, Keys.SHIFT])
        self.assertEqual([x0 - 8, y0 + 1, x1 - 7, y1 - 9], self.boxes()[0])
        self.keys("b")
        self.assertEqual(2, len(self.boxes()))
        self.assertTrue(self.browser.switch_to.active_element.get_attribute("aria-label").startswith("Box 2"))
        self.keys(Keys.TAB, held=[Keys.SHIFT])
        self.assertTrue(self.browser.switch_to.active_element.get_attribute("aria-label").startswith("Box 1"))
        self.assertEqual(["true", "false"], [box.get_attribute("aria-pressed") for box in self.all("#stage .box")])
        self.keys("x", Keys.ARROW_RIGHT, Keys.ENTER)
        self.keys(Keys.ENTER, held=[Keys.SHIFT])
        self.assertEqual(1, len(self.all(".dot.plus")))
        self.assertEqual(1, len(self.all(".dot.minus")))
        self.keys(Keys.ESCAPE, Keys.DELETE)
        self.assertEqual(1, len(self.boxes()))
        self.assertTrue(self.browser.switch_to.active_element.get_attribute("aria-label").startswith("Box 1"))
        self.keys("?")
        self.assertTrue(self.find("#help").is_displayed())
        self.keys(Keys.ESCAPE)
        self.assertFalse(self.find("#help").is_displayed())
        self.assertEqual(1, len(self.boxes()))
        wait("saved", self.saved)
        self.assertEqual(1, len(self.server.stored(COFFEE)["boxes"]))

    def test_every_control_has_a_name_and_a_visible_focus(self):
        self.open(COFFEE, [[165, 10, 418, 315]])
        unnamed = self.js("return [...document.querySelectorAll('button, input, [tabindex]')].filter((e) =>"
                          "!e.getAttribute('aria-label') && !e.textContent.trim() && !e.labels?.length).map((e) => e.outerHTML)")
        self.assertEqual([], unnamed)
        seen = []
        for _ in range(40):
            self.keys(Keys.TAB)
            seen.append(self.js("const e = document.activeElement; const s = getComputedStyle(e);"
                                "return [e.id || e.dataset.do || e.className || e.tagName, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2];"))
            if seen[-1][0] == "BODY":
                seen.pop()
                break
        self.assertGreater(len(seen), 12)
        self.assertEqual([], [name for name, visible in seen if not visible])

    def touch(self, kind, *points):
        places = [dict(zip(("x", "y"), point), id=i) for i, point in enumerate(points)]
        self.browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    def test_phone(self):
        self.screen(390, 844, ratio=3, touch=True)
        self.open(COFFEE, [])
        self.assertLessEqual(self.js("return document.documentElement.scrollWidth"), 390)
        for button in self.all(".tools button"):
            self.assertGreaterEqual(button.size["width"], 36)
            self.assertGreaterEqual(button.size["height"], 40)
        (x0, y0), (x1, y1) = self.place(165, 10), self.place(418, 315)
        self.touch("touchStart", (x0, y0))
        self.touch("touchMove", ((x0 + x1) / 2, (y0 + y1) / 2))
        self.touch("touchMove", (x1, y1))
        self.touch("touchEnd")
        wait("a box drawn with a finger", lambda: len(self.boxes()) == 1)
        self.near(self.boxes()[0], [165, 10, 418, 315], 4)
        scale = self.js("return boxprompt.view.scale")
        self.touch("touchStart", (150, 400))
        self.touch("touchStart", (150, 400), (250, 400))
        self.touch("touchMove", (100, 400), (300, 400))
        self.touch("touchEnd")
        wait("two fingers zoom", lambda: self.js("return boxprompt.view.scale") > 1.8 * scale)
        self.assertEqual(1, len(self.boxes()))
        self.find("[data-do=fit]").click()
        self.find("[data-do=minus]").click()
        x, y = self.place(290, 160)
        self.touch("touchStart", (x, y))
        self.touch("touchEnd")
        wait("a negative point", lambda: len(self.all(".dot.minus")) == 1)
        self.find("[data-do=panel]").click()
        self.assertTrue(self.find("#panel").is_displayed())
        self.assertLessEqual(self.find("#panel").size["width"], 390)
        wait("saved", self.saved)

    def test_looks(self):
        """The picture for the README, where one is asked for."""
        if not options.screenshot:
            self.skipTest("no --screenshot")
        self.server.store(ASTRONAUT, [[270, 335, 512, 512], [350, 0, 480, 295]], seconds=11.3)
        self.server.store(CHELSEA)
        self.server.store(COFFEE, [], authentic=True, seconds=2.8)
        self.server.store(ROCKET)
        self.open(CHELSEA)
        self.drag((128, 81), (220, 153))
        self.drag((276, 103), (352, 171))
        if self.server.teacher:
            self.wait_mask(0)
            self.wait_mask(1)
        wait("saved", self.saved)
        wait("thumbnails", lambda: self.js("return [...document.querySelectorAll('.thumb img')].every((image) => image.naturalWidth > 0)"))
        time.sleep(0.5)
        self.browser.get_screenshot_as_file(str(options.screenshot))
        fewer_colors(options.screenshot)


def main():
    global options
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--mock", action="store_true", help="the stand-in beside this file")
    which.add_argument("--server", help="command line with {folder} in it; it prints the address")
    parser.add_argument("--screenshot", type=pathlib.Path)
    parser.add_argument("--patience", type=float, default=15, help="seconds to wait for what should happen")
    parser.add_argument("--teacher-patience", type=float, default=120, help="seconds to wait for a mask")
    options, rest = parser.parse_known_args()
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        print("skipped: no chromium (chromium, chromium-driver)")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
