import { inChromium } from "./chromium.js";
const cases = { good: ["relief.zarr", "codecs"], corrupt: ["corrupt.zarr", "codecs"], wrong: ["relief.zarr", "arrays/wrong"] };
await inChromium({ arrays: "/tmp/k-page", codecs: "/work/k-browser/codec" }, async (page, origin) => {
  page.on("console", (m) => console.log(m.type(), m.text()));
  await page.setViewportSize({ width: 1120, height: 760 });
  for (const [name, [a, c]] of Object.entries(cases)) {
    await page.goto(`${origin}/?array=/arrays/${a}&codecs=/${c}`);
    await page.waitForSelector("body[data-done]", { timeout: 60000 });
    await page.screenshot({ path: `/tmp/k-shot-${name}.png`, fullPage: true });
  }
});
