"""The status page in real Chromium, on real replicas: `deploy/test browser` runs it."""

import itertools
import json
import pathlib
import signal
import time
import unittest
import urllib.request

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browser import Browser
from world import World, wait

CHECKS = (pathlib.Path(__file__).parent / "checks.js").read_text()
LANGUAGES = {"en": "en", "zh": "zh-CN"}
THEMES = ["light", "dark"]
WIDTHS = [360, 768, 1440]
# WeChat's refusal of the address, as it sends it.
REFUSAL = {"fault": "errcode", "value": 40164,
           "message": "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist"
                      " rid: 6929a0b1-0c5d3e2f-1a2b3c4d"}


def check(browser, name):
    return browser.run(f"return ({CHECKS.rstrip()}).{name}()")


def nodes(browser):
    """Chromium's accessibility tree: what a screen reader is told."""
    browser.cdp("Accessibility.enable")
    tree = browser.cdp("Accessibility.getFullAXTree")["nodes"]
    browser.cdp("Accessibility.disable")
    return [
        {"role": node["role"]["value"], "name": node.get("name", {}).get("value", ""),
         "value": node.get("value", {}).get("value"),
         **{p["name"]: p["value"].get("value") for p in node.get("properties", [])}}
        for node in tree if not node["ignored"]]


class PageTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.browser.size(1440)
        self.browser.theme("light")

    def world(self, accounts):
        world = World(accounts)
        self.addCleanup(world.stop)
        return world

    def headline(self):
        return self.browser.text("#headline")

    def look(self, url, well):
        """Every language, theme and width of a page, well or failing."""
        browser = self.browser
        for lang, theme, width in itertools.product(LANGUAGES, THEMES, WIDTHS):
            with self.subTest(lang=lang, theme=theme, width=width):
                browser.size(width)
                browser.theme(theme)
                browser.complaints()
                browser.open(f"{url}/?lang={lang}")
                self.assertEqual(browser.run("return document.documentElement.lang"),
                                 LANGUAGES[lang])
                self.assertEqual(check(browser, "overflow"), [])
                # Open as well, since text is hidden there.
                browser.run("document.querySelectorAll('details').forEach(e => e.open = true)")
                self.assertEqual(check(browser, "overflow"), [])
                contrast = check(browser, "contrast")
                self.assertGreater(contrast["count"], 30)
                self.assertEqual(contrast["bad"], [])
                self.assertEqual("good" in browser.run(
                    "return document.getElementById('verdict').className"), well)
                # Violations of the policy are told there, too.
                self.assertEqual(browser.complaints(), [])

    def look_at(self, count):
        world = self.world(count)
        dead = world.names[count // 2]
        url = world.replica("sidecar-a")
        world.all_well("sidecar-a")
        self.look(url, well=True)
        # The page of a daemon that is gone would complain.
        self.browser.open("about:blank")
        # Another daemon with no memory of tokens, as after a night's outage.
        world.kill("sidecar-a")
        world.redis("flushall")
        world.fault(dead, **REFUSAL)
        url = world.replica("sidecar-b")
        world.until("sidecar-b", "all but one account have a token", lambda status: sum(
            account["token_present"] for account in status["accounts"]) == count - 1)
        world.until("sidecar-b", "the dead account is told", lambda status: any(
            one["id"] == "no_token" for one in status["conditions"]))
        self.look(url, well=False)
        self.browser.open(url + "/?lang=en")
        first = self.browser.run("return document.querySelector('#list>li').dataset.name")
        self.assertEqual(first, dead)
        self.assertIn("40164", self.browser.text("#verdict"))
        self.assertIn("203.0.113.7", self.browser.text("#verdict"))
        self.assertTrue(self.browser.driver.title.startswith("✕ "))

    def test_one_account(self):
        self.look_at(1)

    def test_twelve_accounts(self):
        self.look_at(12)

    def test_many_accounts(self):
        self.look_at(250)
        # Searching leaves those that fit, and outlives the next states of the page.
        browser = self.browser
        field = browser.driver.find_element(By.ID, "filter")
        field.send_keys("store-09")
        shown = ("return [...document.querySelectorAll('#list>li')].filter(e => !e.hidden)"
                 ".map(e => e.dataset.name)")
        names = browser.run(shown)
        self.assertEqual(names, [f"store-09{n}" for n in range(10)])
        self.assertEqual(browser.text("#found"), "10 / 250")
        before = browser.run("return document.documentElement.dataset.now")
        wait("the next state", lambda: browser.run(
            "return document.documentElement.dataset.now") != before)
        self.assertEqual(browser.run(shown), names)
        self.assertEqual(browser.run("return document.activeElement.id"), "filter")
        self.assertEqual(browser.run("return document.getElementById('filter').value"), "store-09")

    def test_language_is_the_readers(self):
        url = self.world(1).replica("sidecar-a")
        browser = self.browser
        self.addCleanup(browser.accept, "en")
        browser.accept("zh-CN,zh;q=0.9,en;q=0.8")
        browser.open(url + "/")
        self.assertEqual(browser.run("return document.documentElement.lang"), "zh-CN")
        browser.driver.find_element(By.CSS_SELECTOR, "nav .language").click()
        wait("the other language", lambda: browser.run(
            "return document.documentElement.lang") == "en")
        browser.accept("en-GB")
        browser.open(url + "/")
        self.assertEqual(browser.run("return document.documentElement.lang"), "en")

    def test_times_are_local_and_name_their_zone(self):
        world = self.world(1)
        url = world.replica("sidecar-a")
        world.all_alive("sidecar-a")
        self.browser.open(url + "/?lang=en")
        self.assertIn("Asia/Shanghai (GMT+8)", self.browser.text("footer"))
        self.assertNotIn("UTC", self.browser.text())
        at, shown = self.browser.run(
            "const e = document.querySelector('#figures time');"
            "return [e.dateTime, e.textContent]")
        hour = (int(at[11:13]) + 8) % 24
        self.assertEqual(shown, f"{hour:02}{at[13:19]}")

    def test_without_script(self):
        world = self.world(30)
        url = world.replica("sidecar-a")
        world.all_well("sidecar-a")
        browser = self.browser
        browser.script(False)
        self.addCleanup(browser.script, True)
        browser.open(url + "/?lang=en")

        # Scripts of the driver do not run either: the tree of accessibility tells what is there.
        told = " ".join(node["name"] for node in nodes(browser))
        for text in ["All 30 accounts have a live token", "All times are in UTC", "store-001",
                     "sidecar-a leads.", "Timer runs", "Timeline"]:
            self.assertIn(text, told)
        self.assertNotIn("Find by name", told)

    def test_names_for_screen_readers(self):
        world = self.world(30)
        world.fault("live", **REFUSAL)
        url = world.replica("sidecar-a")
        world.until("sidecar-a", "the dead account is told", lambda status: any(
            one["id"] == "no_token" for one in status["conditions"]))
        browser = self.browser
        for lang in LANGUAGES:
            browser.open(f"{url}/?lang={lang}")
            found = nodes(browser)
            roles = [node["role"] for node in found]
            for landmark in ["banner", "navigation", "main", "contentinfo"]:
                self.assertEqual(roles.count(landmark), 1, landmark)
            for node in found:
                if node["role"] in ["link", "button", "searchbox", "textbox", "meter", "heading",
                                    "navigation", "region", "DisclosureTriangle", "image"]:
                    self.assertTrue(node["name"].strip(), node)
            levels = [node["level"] for node in found if node["role"] == "heading"]
            self.assertEqual(levels.count(1), 1)
            for above, below in zip(levels, levels[1:]):
                self.assertLessEqual(below - above, 1, "a level of headings is left out")
            meters = [node for node in found if node["role"] == "meter"]
            self.assertEqual(len(meters), 30)
            self.assertEqual(len({node["name"] for node in meters}), 30)
            closers = [node["name"] for node in found if node["role"] == "DisclosureTriangle"]
            self.assertEqual(len(closers), len(set(closers)), "names must tell them apart")
            self.assertEqual(browser.run(
                "return document.getElementById('headline').getAttribute('aria-live')"), "polite")

    def test_keyboard(self):
        world = self.world(30)
        url = world.replica("sidecar-a")
        world.all_alive("sidecar-a")
        browser = self.browser
        browser.open(url + "/?lang=en")
        places = []
        for _ in range(60):
            ActionChains(browser.driver).send_keys(Keys.TAB).perform()
            focus = check(browser, "focus")
            if focus["tag"] in ["BODY", "HTML"] or (places and focus["place"] < places[-1]):
                break
            self.assertTrue(focus["isSeen"], focus)
            places.append(focus["place"])
        # Everything that a mouse can use, in the order in which it is read.
        self.assertEqual(len(places), browser.run(
            "return [...document.querySelectorAll('a[href],summary,input')]"
            ".filter(e => e.checkVisibility()).length"))
        self.assertEqual(places, sorted(places))
        # A summary opens by the keyboard, and stays open.
        browser.run("document.querySelector('summary').focus()")
        ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
        self.assertTrue(browser.run("return document.querySelector('details').open"))

    def test_a_leaders_death_is_seen_live(self):
        world = self.world(30)
        world.replica("sidecar-a")
        world.all_alive("sidecar-a")
        url = world.replica("sidecar-b")
        world.all_alive("sidecar-b")
        browser = self.browser
        browser.size(768)
        browser.open(url + "/?lang=en")
        self.assertIn("sidecar-a leads.", browser.text("#fleet"))
        browser.complaints()
        # A reader far down, with something open and something marked.
        browser.run("""
            window.mine = 1;
            const row = document.getElementById('account-store-015');
            row.querySelector('details').open = true;
            row.querySelector('summary').focus();
            row.scrollIntoView({behavior: 'instant'});
            getSelection().selectAllChildren(row.querySelector('h3'));""")
        place = "return document.getElementById('account-store-015').getBoundingClientRect().top"
        top = browser.run(place)
        world.kill("sidecar-a")
        wait("the page shows who leads now", lambda: "sidecar-b leads." in browser.run(
            "return document.getElementById('fleet').innerText"))
        wait("the timeline tells it", lambda: "This replica leads" in browser.run(
            "return document.getElementById('timeline').innerText"))
        self.assertEqual(browser.run("return window.mine"), 1, "the page was loaded anew")
        self.assertTrue(browser.run(
            "return document.querySelector('#account-store-015 details').open"))
        self.assertEqual(browser.run(
            "return document.activeElement.closest('li').id"), "account-store-015")
        self.assertEqual(browser.run("return getSelection().toString()"), "store-015")
        self.assertLess(abs(browser.run(place) - top), 2)
        self.assertEqual(browser.complaints(), [])

    def test_a_dying_token_is_seen_live(self):
        world = self.world(2)
        # In milliseconds; shorter lives than WeChat's, of which nobody waits for the end.
        world.control("PUT", f"/apps/{world.app_ids['live']}", {"life": 20_000})
        url = world.replica("sidecar-a")
        world.all_well("sidecar-a")
        browser = self.browser
        browser.open(url + "/?lang=en")
        browser.run("window.mine = 1")
        self.assertEqual(self.headline(), "All 2 accounts have a live token")
        sign = "return document.getElementById('icon').href"
        good = browser.run(sign)
        world.fault("live", **REFUSAL)
        wait("the verdict changes", lambda: self.headline()
             == "1 of 2 accounts has no token: live")
        self.assertTrue(browser.driver.title.startswith("✕ 1 of 2 accounts has no token"))
        self.assertNotEqual(browser.run(sign), good)
        wait("the reason is there", lambda: "40164" in browser.text("#verdict"))
        world.control("PUT", f"/apps/{world.app_ids['live']}", {"life": 7_200_000})
        world.heal()
        call = urllib.request.Request(
            url + "/v1/refresh", json.dumps({"account": "live", "force": True}).encode())
        try:
            urllib.request.urlopen(call, timeout=30).close()
        except urllib.error.HTTPError:
            # A refusal that was met before is held against it for minutes: start it anew.
            world.kill("sidecar-a", signal.SIGTERM)
            world.replica("sidecar-a", port=int(url.rsplit(":", 1)[1]))
        wait("it is over", lambda: self.headline() == "All 2 accounts have a live token")
        self.assertEqual(browser.run("return window.mine"), 1, "the page was loaded anew")

    def test_a_page_without_its_daemon_is_old_and_comes_back(self):
        world = self.world(1)
        url = world.replica("sidecar-a")
        world.all_alive("sidecar-a")
        browser = self.browser
        stale = "return document.getElementById('stale').checkVisibility()"
        for lang, words, end in [("en", "The daemon does not answer.", signal.SIGKILL),
                                 ("zh", "守护进程没有响应。", signal.SIGSTOP)]:
            browser.open(f"{url}/?lang={lang}")
            browser.run("window.mine = 1")
            self.assertFalse(browser.run(stale))
            process = world.replicas["sidecar-a"][0]
            process.send_signal(end)
            wait("the page says that it is old", lambda: browser.run(stale))
            self.assertIn(words, browser.text("#stale"))
            self.assertTrue(browser.driver.title.startswith("⌛ "))
            age = "return Number(document.querySelector('#stale [data-ago]').innerText.match(/\\d+/))"
            first = browser.run(age)
            wait("its age goes on", lambda: browser.run(age) > first)
            if end == signal.SIGKILL:
                process.wait()
                world.replica("sidecar-a", port=int(url.rsplit(":", 1)[1]))
            else:
                process.send_signal(signal.SIGCONT)
            wait("it comes back", lambda: not browser.run(stale))
            self.assertFalse(browser.driver.title.startswith("⌛ "))
            self.assertEqual(browser.run("return window.mine"), 1, "the page was loaded anew")
        # Refused connections are told by the browser itself, and nothing else is.
        self.assertEqual([line for line in browser.complaints() if "ERR_" not in line], [])

    def test_the_runbook_is_one_click_away(self):
        world = self.world(1)
        world.fault(**REFUSAL)
        url = world.replica("sidecar-a")
        world.until("sidecar-a", "the refusal is told", lambda status: any(
            one["id"] == "no_token" for one in status["conditions"]))
        browser = self.browser
        for lang in LANGUAGES:
            browser.open(f"{url}/?lang={lang}")
            browser.complaints()
            browser.driver.find_element(By.CSS_SELECTOR, "#verdict a").click()
            wait("the runbook", lambda: "/runbook" in browser.driver.current_url)
            self.assertTrue(browser.run("return document.querySelector(':target') !== null"))
            self.assertEqual(check(browser, "overflow"), [])
            self.assertEqual(check(browser, "contrast")["bad"], [])
            self.assertEqual(browser.complaints(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
