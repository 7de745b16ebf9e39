// A reader in a browser: leaves, takes that back, pauses, reads a digest, searches the page, by keyboard alone. Every page
// must be without violations for axe-core, without a message in the console, and without a scroll bar to the side.
//
//     node pages.mjs BASE READER DIGEST FEED SHOTS
import { readFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import assert from "node:assert/strict";

const [base, reader, digest, feed, shots] = process.argv.slice(2);
const require = createRequire(join(process.env.WEB_PAGES_MODULES, "x.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(shots, { recursive: true });

const profile = mkdtempSync(join(tmpdir(), "web-pages-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  // axe-core is put into the page by the test; the page itself forbids scripts, and that stays so outside of this run.
  bypassCSP: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const page = context.pages()[0] ?? (await context.newPage());
const said = [];
page.on("console", (message) => said.push(message.text()));
page.on("pageerror", (error) => said.push(String(error)));
let nPages = 0;
let nRules = 0;

const tabs = async (n) => {
  for (let i = 0; i < n; i++) await page.keyboard.press("Tab");
};
const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");
/** Walks by Tab to what is called so, and presses Enter. */
const press = async (label) => {
  for (let i = 0; i < 20; i++) {
    await tabs(1);
    if ((await focused()) === label) {
      await Promise.all([page.waitForLoadState("load"), page.keyboard.press("Enter")]);
      await page.waitForTimeout(150);
      return;
    }
  }
  assert.fail(`no way to ${label} by keyboard on ${page.url()}`);
};
const headline = () => page.locator("h1").innerText();

/** Looks at a page as a judge: axe-core, the console, the width, in both schemes and widths. */
const judge = async (name) => {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const width of [375, 800]) {
      await page.setViewportSize({ width, height: 700 });
      await page.screenshot({ path: join(shots, `${name}-${scheme}-${width}.png`), fullPage: true });
      const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(tooWide <= 0, `${name}: ${tooWide} px too wide at ${width}`);
    }
    await page.evaluate(axe);
    const result = await page.evaluate(() => window.axe.run(document));
    const found = result.violations.map((v) => `${v.id}: ${v.help} (${v.nodes.map((n) => n.html).join(" | ")})`);
    assert.deepEqual(found, [], `axe-core on ${name}, ${scheme}`);
    nRules += result.passes.length;
  }
  await page.emulateMedia({ colorScheme: "light" });
  nPages++;
};

await page.goto(base + reader);
assert.equal(await headline(), "Your digests");
await judge("reader");

// The focus can be seen.
await tabs(1);
const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
assert.equal(outline, "solid");
await page.goto(base + reader);
await press("Stop these mails");
assert.equal(await headline(), "You have left");
await judge("left");
await press("Send me digests again");
assert.equal(await headline(), "You are back");
await judge("back");
await press("Pause for a week");
assert.equal(await headline(), "You are paused");
assert.match(await page.locator("main").innerText(), /until 17 February 2026/);
await judge("paused");
await press("Pause for a month");
assert.match(await page.locator("main").innerText(), /until 12 March 2026/);
await press("End the pause");
assert.equal(await headline(), "The pause is over");

await page.goto(`${base}${reader}#pause`);
assert.ok(await page.locator("#pause").isVisible());
const feedHref = await page.getByRole("link", { name: "Your papers as a feed" }).getAttribute("href");
assert.equal(new URL(feedHref, base + reader).pathname, feed);
const answer = await page.request.get(base + feed);
assert.match(answer.headers()["content-type"], /atom/);

await page.goto(base + digest);
assert.match(await headline(), /new papers$/);
await judge("digest");

await page.goto(`${base}/`);
assert.equal(await headline(), "Daily papers");
await judge("papers");
await page.getByLabel("Keyword").focus();
await page.keyboard.type("diffusion");
await tabs(1);
await page.getByRole("button", { name: "Show" }).focus();
await Promise.all([page.waitForURL(/keyword=diffusion/), page.keyboard.press("Enter")]);
assert.equal(await page.locator("h3").count(), 1);
await judge("search");
assert.deepEqual(said, []);

// A bad link is a 404, which the browser itself notes in its console.
await page.goto(`${base}/u/v1.x.y.z`);
assert.equal(await headline(), "Nothing is here");
await judge("bad-link");
const others = said.filter((text) => !text.includes("404"));
assert.deepEqual(others, []);
assert.deepEqual(await context.cookies(), []);

await context.close();
rmSync(profile, { recursive: true, force: true });
console.log(`${nPages} pages in light and dark, narrow and wide: axe-core 0 violations (${nRules} rules passed), console empty`);
