"""Chromium, headless, as a test wants it: size, theme, language and zone."""

import base64
import shutil

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service


class Browser:
    def __init__(self):
        options = Options()
        options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
        # It reads pages of this machine only, and often as root, where its sandbox cannot work.
        for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-extensions",
                         "--disable-background-networking", "--no-first-run",
                         "--disable-dev-shm-usage", "--force-device-scale-factor=1"]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = shutil.which("chromedriver") or "/usr/bin/chromedriver"
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.cdp("Emulation.setTimezoneOverride", timezoneId="Asia/Shanghai")

    def cdp(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def size(self, width, height=900):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=width < 500)

    def theme(self, name):
        self.cdp("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": name}])

    def script(self, on):
        self.cdp("Emulation.setScriptExecutionDisabled", value=not on)

    def accept(self, languages):
        self.cdp("Network.enable")
        self.cdp("Network.setExtraHTTPHeaders", headers={"Accept-Language": languages})

    def open(self, url):
        self.driver.get(url)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def text(self, selector="body"):
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def complaints(self):
        """What the console said since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def picture(self, path, height=None):
        """The page as it looks, down to a height or to its end."""
        whole = self.cdp("Page.getLayoutMetrics")["cssContentSize"]
        width = self.run("return innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height or whole["height"], "scale": 1}
        data = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                        clip=clip)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        self.driver.quit()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
