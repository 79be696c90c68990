"""The page in a real browser: what a reader does, and what it looks like; skipped where there is no Chromium."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from isthmus.serve.keys import Keys as ApiKeys
from isthmus.serve.limits import Limits
from tests.unit.serve.running import hooked, running, slowly, tiny

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning"),
]

KEY = "0123456789abcdef-key"


class Page:
    """The page in a browser."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser = browser

    def open(self, address: str, width: int = 1440, dark: bool = False) -> None:
        """Show the page on a screen of some width."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        self.browser.get(address)
        self.browser.get_log("browser")  # type: ignore[no-untyped-call]

    def __getitem__(self, name: str) -> WebElement:
        return self.browser.find_element(By.ID, name)

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return [one.get_attribute("textContent") or "" for one in self.all(selector)]

    def until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"the page says: {self['message'].text!r} {self['status'].text!r}"
            time.sleep(0.05)

    def type(self, text: str) -> None:
        """Type a text, and wait for its words."""
        self["source"].send_keys(text)
        self.until(lambda: self.all(".word") and self["status"].text.endswith("s"))

    def complaints(self) -> list[str]:
        """What the browser has to say against the page, refusals of the server apart."""
        said = [str(one["message"]) for one in self.browser.get_log("browser")]  # type: ignore[no-untyped-call]
        return [one for one in said if "the server responded with a status of" not in one]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    binary = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("there is no Chromium with its driver here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Driver(driver))
    yield Page(browser)
    browser.quit()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(tiny(end_bonus=5.0), tiny({"source_language": "fr", "target_language": "en"})) as client:
        yield str(client.base_url)


def test_one_types_and_reads_points_and_chooses(page: Page, address: str) -> None:
    page.open(address)
    page.until(lambda: page["model"].text)
    assert page.texts("#source-title, #output-title") == ["English", "French"]
    page.type("abc fed. hgf a!")
    words = page.all(".word")
    assert "".join(page["output"].text.split()) == "".join("".join(page.texts(".word")).split())

    lit = next(word for word in words if _pointed(page, word))
    assert set("".join(page.texts("#backdrop mark"))) <= set("abcfedhg.!")
    assert "lit" in (lit.get_attribute("class") or "")

    before = page["output"].text
    words[0].click()
    page.until(page["runners"].is_displayed)
    runners = page.all("#runners button")
    chosen = (runners[1].find_element(By.TAG_NAME, "span").text).strip()
    runners[1].click()
    page.until(page["best"].is_displayed)
    assert page["output"].text.startswith(chosen)
    page["best"].click()
    assert page["output"].text == before

    others = page.all("#outputs button")
    assert len(others) == 3
    second = others[1].text
    others[1].click()
    assert page["output"].text == second
    assert page.all("#outputs button")[1].get_attribute("aria-pressed") == "true"
    assert page.complaints() == []


def _pointed(page: Page, word: WebElement) -> bool:
    ActionChains(page.browser).move_to_element(word).perform()
    return bool(page.all("#backdrop mark"))


def test_everything_can_be_done_by_keyboard(page: Page, address: str) -> None:
    page.open(address)
    page.until(lambda: page["model"].text)
    page.type("abc fed")
    keys = ActionChains(page.browser)
    keys.key_down(Keys.CONTROL).send_keys(Keys.ARROW_DOWN).key_up(Keys.CONTROL).perform()
    first = page.browser.switch_to.active_element
    assert first.get_attribute("data-number") == "0"
    ActionChains(page.browser).send_keys(Keys.END, Keys.ENTER).perform()
    assert page["runners"].is_displayed()
    assert page.browser.switch_to.active_element.get_attribute("role") == "menuitem"
    ActionChains(page.browser).send_keys(Keys.ESCAPE).perform()
    assert not page["runners"].is_displayed()
    assert page.browser.switch_to.active_element.get_attribute("class") != ""
    ActionChains(page.browser).send_keys(Keys.ESCAPE).perform()
    assert page.browser.switch_to.active_element.get_attribute("id") == "source"


def test_options_and_attention(page: Page, address: str) -> None:
    page.open(address)
    page.until(lambda: page["model"].text)
    page.type("abc fed")
    page["options"].find_element(By.TAG_NAME, "summary").click()
    page.all("input[value=sample]")[0].click()
    page.until(page["again"].is_displayed)
    assert page["temperature"].is_displayed()
    assert not page["beams"].is_displayed()
    page["attention"].find_element(By.TAG_NAME, "summary").click()
    page.until(lambda: page.all("#map td i"))
    assert page.texts("#layer option") == ["1", "2"]
    shades = [one.get_attribute("style") for one in page.all("#map td i")]
    page.browser.execute_script("document.getElementById('head').value = '1'")
    page.browser.execute_script("document.getElementById('head').dispatchEvent(new Event('change'))")
    assert [one.get_attribute("style") for one in page.all("#map td i")] != shades
    assert page.complaints() == []


def test_the_languages_are_swapped(page: Page, address: str) -> None:
    page.open(address)
    page.until(lambda: page["model"].text)
    page["swap"].click()
    assert page.texts("#source-title, #output-title") == ["French", "English"]


def test_files_come_in_and_go_out(page: Page, address: str, tmp_path: Path) -> None:
    page.browser.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.open(address)
    page.until(lambda: page["model"].text)
    (tmp_path / "small.txt").write_text("abc\n\nfed\n", encoding="utf-8")
    page["file"].send_keys(str(tmp_path / "small.txt"))
    page.until(lambda: page.all(".word"))
    assert page["source"].get_attribute("value") == "abc\n\nfed\n"
    (tmp_path / "large.txt").write_text("abc\n\nfed hg\n" * 600, encoding="utf-8")
    page["file"].send_keys(str(tmp_path / "large.txt"))
    page.until((tmp_path / "large.fr.txt").exists, 180)
    lines = (tmp_path / "large.fr.txt").read_text(encoding="utf-8").split("\n")
    expected = tiny(end_bonus=5.0).generate(["abc", "fed hg"])
    assert lines[:3] == [expected[0], "", expected[1]]
    assert len(lines) == 1801
    (tmp_path / "latin.txt").write_bytes(b"d\xe9")
    page["file"].send_keys(str(tmp_path / "latin.txt"))
    page.until(page["message"].is_displayed)
    assert "is not a text in UTF-8" in page["message-text"].text


def test_output_is_never_markup(page: Page, address: str) -> None:
    page.open(address)
    page.until(lambda: page["model"].text)
    page["source"].send_keys("<img src=x onerror=alert(1)><b>abc</b>")
    page.until(lambda: page.all(".word") or page["message"].is_displayed())
    assert page.all("#output img, #output b, #backdrop img, #warnings b") == []


def test_errors_are_said_in_words(page: Page) -> None:
    with running(tiny(), limits=Limits(characters=100), keys=ApiKeys([KEY])) as client:
        page.open(str(client.base_url))
        page.until(page["key-form"].is_displayed)
        page["key"].send_keys(KEY, Keys.ENTER)
        page.until(lambda: page["model"].text)
        assert not page["message"].is_displayed()
        page["source"].send_keys("abc " * 30)
        page.until(page["message"].is_displayed)
        assert "may ask for so much only" in page["message-text"].text
    page["source"].clear()
    page["source"].send_keys("abc")
    page.until(lambda: "cannot be reached" in page["message-text"].text)
    assert page["retry"].is_displayed()


def test_the_output_comes_while_it_is_made(page: Page) -> None:
    machine, _ = hooked(slowly(0.1), end_bonus=0.0)
    with running(machine) as client:
        page.open(str(client.base_url))
        page.until(lambda: page["model"].text)
        page["source"].send_keys("abcdefgh")
        seen: set[str] = set()

        def several() -> bool:
            seen.add(page["output"].text)
            return len(seen) > 4

        page.until(several)
        grown = sorted(seen, key=len)
        assert all(longer.startswith(shorter.rstrip()) for shorter, longer in pairwise(grown))
        assert "draft" in (page["output"].get_attribute("class") or "")


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1440, False), (1440, True)])
def test_it_fits_the_screen(page: Page, address: str, width: int, dark: bool, tmp_path: Path) -> None:
    page.open(address, width, dark)
    page.until(lambda: page["model"].text)
    page.type("abc fed. " * 6)
    for name in ("options", "attention"):
        page.browser.execute_script(f"document.getElementById('{name}').open = true")
    page.until(lambda: page.all("#map td i"))
    wide = page.browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width
    left, right = page["source"].rect, page["output"].rect
    assert (left["y"] == right["y"]) is (width > 1000)
    ground = page.browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in ground.strip("rgb()").split(",")) < 200) is dark
    assert page.browser.save_screenshot(str(tmp_path / f"{width}.png"))
    assert page.complaints() == []
