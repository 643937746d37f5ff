"""A real browser, headless, for the tests of the player, and what one does with a page in it."""

import base64
import json
import shutil
import zlib

import pytest

from tests.drawing import needs_dot

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new --no-sandbox --disable-dev-shm-usage --disable-gpu --no-first-run"
    " --disable-background-networking --window-size=1280,900"
)
#: The mark of modules that need all of this.
needs_browser = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and chromedriver"),
    needs_dot,
]


class Page:
    """A page in the browser, and what one does with it."""

    def __init__(self, driver):
        self.driver = driver

    def __call__(self, code, *args):
        return self.driver.execute_script(code, *args)

    def open(self, player, path):
        player.save(path)
        return self.visit(path.as_uri())

    def visit(self, address):
        """A page of ours, as soon as it can be used: its script waits for what it unpacks, and the browser
        says that a page is loaded before that."""
        self.driver.get(address)
        self.until(lambda: self("return !document.querySelector('main[aria-busy]')"))
        self.settle()
        return self

    def until(self, holds):
        """Wait for what takes the page more than a frame."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 30, 0.05).until(lambda _: holds())

    def settle(self):
        """Until what waits for the next frame is done: changes of numbers, and what follows a new size."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done));"
        )

    def link(self):
        """The address of what the page shows. The page writes it 0.4 s after the last change; of two timers
        the one that is due first goes off first, however busy the machine is."""
        self.settle()
        self.driver.execute_async_script("setTimeout(arguments[0], 500)")
        return self("return location.hash")

    def text(self, id):
        return self("return document.getElementById(arguments[0]).textContent", id)

    def click(self, id):
        self("document.getElementById(arguments[0]).click()", id)

    def set(self, id, value, event):
        self(
            "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event(arguments[2]))",
            id,
            str(value),
            event,
        )

    def go(self, step):
        self.set("slider", step, "input")

    @property
    def at(self):
        return int(self("return document.getElementById('slider').value"))

    @property
    def steps(self):
        return int(self("return document.getElementById('slider').max"))

    @property
    def data(self):
        text = self.text("data")
        return json.loads(text if text[0] == "{" else zlib.decompress(base64.b64decode(text)))

    def press(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def labels(self, kind):
        """What stands on the nodes of the view that is shown, by name."""
        return self(
            "const shown = document.querySelector('.view:not([hidden])'), found = {};"
            "for (const g of shown.querySelectorAll('.node:not(.folded)'))"
            " found[g.querySelector('.name').textContent.split(' ')[0]] ="
            " [...g.querySelectorAll('.' + arguments[0])].map((t) => t.textContent).join('|');"
            "return found",
            kind,
        )

    def marked(self, name):
        """The ids of what is lit, active and so on in the view that is shown."""
        return self(
            "return [...document.querySelectorAll(`.view:not([hidden]) .${arguments[0]}`)]"
            ".map((g) => g.dataset.id)",
            name,
        )

    def focus(self, id):
        self("document.querySelector(`.view:not([hidden]) [data-id=${arguments[0]}]`).focus()", id)

    def double_click(self, id):
        self(
            "document.querySelector(`.view:not([hidden]) [data-id=${arguments[0]}]`)"
            ".dispatchEvent(new MouseEvent('dblclick', { bubbles: true }))",
            id,
        )

    def find(self, text):
        """Search with the keys alone."""
        self.release()
        self.press("/", text, "\ue007")

    def release(self):
        self("document.activeElement?.blur()")

    def facts(self):
        return self(
            "return Object.fromEntries([...document.querySelectorAll('#facts dt')]"
            ".map((t) => [t.textContent, t.nextSibling.textContent]))"
        )

    def emulate(self, **features):
        """What a reader prefers. Without motion unless told otherwise: while the page scrolls smoothly, the
        place of something depends on when it is measured."""
        features = {"prefers_reduced_motion": "reduce", **features}
        pairs = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": pairs})

    def width(self, pixels, height=900):
        """Another size of the window. The page hears of it in a later frame and moves then, so that a place
        that was measured before would be that of something else."""
        size = {"width": pixels, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.until(lambda: self("return [innerWidth, innerHeight]") == [pixels, height])
        self.settle()

    def rect(self, selector):
        """left, top, right, bottom of what a selector finds first."""
        return self(
            "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [r.left, r.top, r.right, r.bottom]",
            selector,
        )

    def mouse(self, kind, x, y, **more):
        event = {"type": kind, "x": x, "y": y, **more}
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    def hit(self, selector):
        """A click of the mouse on the middle of something, as a person clicks."""
        self("document.querySelector(arguments[0]).scrollIntoView({ block: 'nearest' })", selector)
        left, top, right, bottom = self.rect(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, (left + right) / 2, (top + bottom) / 2, button="left", clickCount=1)

    def complaints(self):
        return self.driver.get_log("browser")


def started():
    """The browser, which whoever starts it has to quit."""
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))


@pytest.fixture(scope="module")
def browser():
    driver = started()
    yield driver
    driver.quit()


@pytest.fixture
def page(browser):
    page = Page(browser)
    page.width(1280)
    page.emulate()
    yield page
    assert page.complaints() == []
