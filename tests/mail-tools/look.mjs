// One browser for all looks at the mails: a question in JSON on each line of standard input, its answer on standard output.
//
//     {"page": FILE, "scheme": "light" | "dark" | "forced dark", "looks": [{"width", "height", "picture"?}]}
//
// An answer is a list with one entry for each look: how wide the page lays itself out, and, with a picture, where its words
// stand in it.
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [browser, modules] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, "x.js"))("playwright-core");
const profile = mkdtempSync(join(tmpdir(), "mail-tools-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: browser,
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const page = context.pages()[0] ?? (await context.newPage());
const session = await context.newCDPSession(page);

/**
 * Where each word stands, as the browser lays it out: left, top, right, bottom, text. Blanks and the marks that isolate a
 * direction have no ink, and a dot is all edge.
 */
const words = () => {
  const all = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    for (const word of node.data.matchAll(/[^\s\u2066-\u2069]+/g)) {
      if (!/[\p{L}\p{N}]/u.test(word[0])) continue;
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      for (const r of range.getClientRects()) {
        if (r.width > 2) all.push([r.left, r.top, r.right, r.bottom, word[0].slice(0, 40)]);
      }
    }
  }
  return all;
};

for await (const line of createInterface({ input: process.stdin })) {
  const { page: file, scheme, looks } = JSON.parse(line);
  await page.emulateMedia({ colorScheme: scheme === "light" ? "light" : "dark" });
  // What a program does that turns the colours of a page by itself.
  await session.send("Emulation.setAutoDarkModeOverride", { enabled: scheme === "forced dark" });
  await page.setViewportSize({ width: looks[0].width, height: looks[0].height });
  await page.goto(pathToFileURL(file).href);
  const answer = [];
  for (const { width, height, picture } of looks) {
    await page.setViewportSize({ width, height });
    const look = { width: await page.evaluate(() => document.documentElement.scrollWidth) };
    if (picture) {
      await page.screenshot({ path: picture });
      look.words = await page.evaluate(words);
    }
    answer.push(look);
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await context.close();
rmSync(profile, { recursive: true, force: true });
